"""Another judge's verdict on a row, asked by the commands of the judge and kept beside the run. No Textual."""
