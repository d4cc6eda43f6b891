"""What every caller of a server needs: replies read with forbearance, failures said plainly, secrets kept."""
