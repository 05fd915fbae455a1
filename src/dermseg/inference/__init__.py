"""From an image to an outline: prediction, measurements and the files they are written to."""
