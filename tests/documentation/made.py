"""What the pages show and nobody writes: made from the sources by tests/documentation/run."""

BLOCKS = {}
