"""Codecs of time series: tables, time stamps, calendar features, training statistics, specs."""
