"""One LightningModule for each learning problem."""
