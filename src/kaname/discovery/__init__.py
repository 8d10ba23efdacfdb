"""What nobody labelled: how earthquakes follow one another, and what stress has to do with it."""
