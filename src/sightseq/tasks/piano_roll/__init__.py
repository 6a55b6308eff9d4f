"""Piano rolls: prediction of the keys of the next frame."""
