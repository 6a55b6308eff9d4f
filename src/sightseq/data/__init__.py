"""One data module per dataset, or per family of datasets with the same file format."""
