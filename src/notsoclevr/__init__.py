"""Not-so-Clevr: a tracked, reproducible study of CoordConv."""
