"""Planning of a run: records, configuration and phases, without Keras."""

from trainers.training.planning.make_plan import plan_training
from trainers.training.planning.plan import TrainingPlan

__all__ = ["TrainingPlan", "plan_training"]
