"""The published claims, the rows that decide them, and the verdicts."""
