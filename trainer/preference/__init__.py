"""What the trainings on preference pairs share: their command, TRL's DPO trainer, the losses."""
