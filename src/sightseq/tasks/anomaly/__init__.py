"""Anomaly detection: unusual windows of sequences, found by the error of their reconstruction."""
