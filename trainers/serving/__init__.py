"""HTTP server of predictions: REST, KServe V2, metrics, a page."""

from trainers.serving.app import serving_app
from trainers.serving.server import serve

__all__ = ["serve", "serving_app"]
