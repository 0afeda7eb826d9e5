"""The search for recipes of docs/protocol.md: what it may try, what came of it, and its engine."""
