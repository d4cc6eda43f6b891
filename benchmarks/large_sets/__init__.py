"""Memory of trainings on files of two sizes."""
