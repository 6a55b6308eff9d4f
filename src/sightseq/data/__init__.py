"""One data module for each dataset, or family of datasets with one file format."""
