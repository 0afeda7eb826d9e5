"""Many experiments: what a study asks, what came out, and the engine that runs them."""
