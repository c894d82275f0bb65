"""Session appraisal for live rooms: exports are landed, built, audited and published as marts and scorecards."""
