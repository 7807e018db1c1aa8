"""DAG of an incremental run: new images become one generation.

For Airflow 3. `shardmill` must be on the workers' PATH, in a separate environment.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

if TYPE_CHECKING:
    from airflow.sdk import Context

# Names come as variables: their values are never read as a command.
COMMAND = 'exec shardmill convert "$SOURCE" "$TARGET" --test=0.2 --append --log-format=json'
SOMEBODY_MUST_DECIDE = {2, 65, 66, 70, 73}
ANOTHER_RUN_IS_WRITING = 75


class ShardmillOperator(BashOperator):
    """A command of shardmill; it is not retried if only a person can help."""

    def execute(self, context: Context) -> Any:
        """Run the command. Raise AirflowFailException if a retry would end the same way."""
        try:
            return super().execute(context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            status = self.subprocess_hook.sub_process.returncode
            if status in SOMEBODY_MUST_DECIDE:
                raise AirflowFailException(f"shardmill ended with status {status}") from error
            raise


def alert(context: Context) -> None:
    """Alert someone after all tries have failed: put a pager, mail or chat here."""
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
        skip_on_exit_code=ANOTHER_RUN_IS_WRITING,
        retries=5,
        retry_delay=timedelta(minutes=10),
        retry_exponential_backoff=True,
        execution_timeout=timedelta(hours=8),
        on_failure_callback=alert,
    )
