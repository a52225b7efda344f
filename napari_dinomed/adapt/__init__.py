"""Teaching an encoder by a few labelled slices, and showing whether it helped."""
