"""The judges that are compared: each module has `judge(rows, url, in_flight, out)`, which counts its verdicts."""
