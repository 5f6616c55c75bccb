"""The metrics hooks of the official package. Nothing is measured, nothing is sent; callers may replace the methods."""

from __future__ import annotations

from typing import Any


class TFLiteMetrics:
    """Counters that count nothing."""

    def __init__(self, model_hash: str | None = None, model_path: str | None = None) -> None:
        pass

    def increase_counter_interpreter_creation(self) -> None:
        """Called once for each Interpreter."""

    def increase_counter_debugger_creation(self) -> None:
        pass

    def increase_counter_converter_attempt(self) -> None:
        pass

    def increase_counter_converter_success(self) -> None:
        pass

    def set_converter_param(self, name: str, value: Any) -> None:
        pass

    def set_converter_error(self, error_data: Any) -> None:
        pass

    def set_converter_latency(self, value: int) -> None:
        pass


class TFLiteConverterMetrics(TFLiteMetrics):
    """The converter's variant of them."""

    def set_export_required(self) -> None:
        pass

    def export_metrics(self) -> None:
        pass
