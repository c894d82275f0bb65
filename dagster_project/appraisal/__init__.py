"""The month: announced, draft, sealed; explained to the raw row, and tried under another policy."""
