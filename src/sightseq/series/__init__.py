"""Codecs of time series: tables, time stamps, calendar features, statistics of the training part, specs."""
