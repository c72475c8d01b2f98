"""What others would use on the same samples: the naive rules, and river's detectors."""
