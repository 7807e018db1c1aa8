"""Recipes: options that fit the data and the time."""

from trainers.recipes.plan import ChosenRun, RecipeRequest, choose_run

__all__ = ["ChosenRun", "RecipeRequest", "choose_run"]
