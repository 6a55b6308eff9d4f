"""One LightningModule per learning problem."""
