"""Time-series forecasting: the next steps of one or more series, with quantiles."""
