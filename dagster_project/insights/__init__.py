"""What SQL cannot say of the marts: association over time, forecast, mood of the chat, and a warning while it happens."""
