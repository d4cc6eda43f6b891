"""Benchmarks of judges: RewardBench, RewardBench 2, JudgeBench, LLMBar, RM-Bench and PPE."""
