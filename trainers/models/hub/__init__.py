"""Backbones of KerasHub, from presets."""
