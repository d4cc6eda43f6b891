"""The shared parts of trainings on preference pairs: their command, TRL's DPO trainer with extensions, the losses."""
