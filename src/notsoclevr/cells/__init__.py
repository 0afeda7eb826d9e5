"""The files of one cell, and one training as one tracked run."""
