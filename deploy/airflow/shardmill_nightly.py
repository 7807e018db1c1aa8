"""DAG of a scheduled incremental conversion, for Airflow 3.

Each run adds the new images of the source to the dataset, as one generation. If it has added any,
it emits an asset event, which can start other DAGs: `schedule=AssetAlias("shardmill_new_images")`.
The command `shardmill` must be on the PATH of the workers. Install shardmill in a separate virtual
environment.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, AssetAlias

if TYPE_CHECKING:
    from airflow.sdk import Context

# The locations are environment variables, so the shell never interprets them as commands.
COMMAND = 'exec shardmill convert "$SOURCE" "$TARGET" --test=0.2 --append --log-format=json'
PERMANENT_ERRORS = {2, 65, 66, 70, 73}
OUTPUT_LOCKED = 75
NEW_IMAGES = "shardmill_new_images"


class ShardmillOperator(BashOperator):
    """Operator that runs `shardmill convert`, and does not retry it after a permanent error."""

    def execute(self, context: Context) -> Any:
        """Run the command, and emit an asset event if it has stored images; return its result.

        The result is the last line of the log: its status, target, generation and stored images.

        Raises:
            AirflowFailException: the exit code means a permanent error.
            AirflowSkipException: another run is writing to the output.
            AirflowException: the command failed for another reason, so Airflow retries the task.
        """
        try:
            result = json.loads(super().execute(context))
        except AirflowSkipException:
            raise
        except AirflowException as error:
            exit_code = self.subprocess_hook.sub_process.returncode
            if exit_code in PERMANENT_ERRORS:
                raise AirflowFailException(f"shardmill ended with exit code {exit_code}") from error
            raise
        if result["stored"]:
            events = context["outlet_events"][AssetAlias(NEW_IMAGES)]
            events.add(Asset(result["target"]), extra={"generation": result["generation"]})
        return result


def alert(context: Context) -> None:
    """Report that all attempts have failed. Replace the body with a page, a mail or a message."""
    print(f"ALERT {context['dag_run'].run_id} of {context['ti'].dag_id} has failed")  # noqa: T201


with DAG(
    "shardmill_nightly",
    schedule="15 2 * * *",
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={"source": "/srv/photos", "target": "/srv/data/flowers"},
    doc_md=__doc__,
) as dag:
    ShardmillOperator(
        task_id="convert",
        bash_command=COMMAND,
        env={"SOURCE": "{{ params.source }}", "TARGET": "{{ params.target }}"},
        append_env=True,
        skip_on_exit_code=OUTPUT_LOCKED,
        outlets=[AssetAlias(NEW_IMAGES)],
        retries=5,
        retry_delay=timedelta(minutes=10),
        retry_exponential_backoff=True,
        execution_timeout=timedelta(hours=8),
        on_failure_callback=alert,
    )
