"""The number of usable CPUs: affinity, and quotas of cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from records.runtime import cpu


@pytest.mark.parametrize(
    ("files", "own", "quota"),
    [
        ({}, "0::/", None),
        ({"cpu.max": "max 100000"}, "0::/", None),
        ({"cpu.max": "150000 100000"}, "0::/", 1.5),
        ({"a/b/cpu.max": "400000 100000"}, "0::/a/b", 4.0),
        ({"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b", 0.5),
        ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "200000 100000"}, "0::/a/b", 2.0),
        ({"cpu.max": "100000 100000"}, "0::/of/the/host", 1.0),
        ({"cpu.max": "damaged"}, "0::/", None),
        ({"cpu.max": "1 0"}, "0::/", None),
        (
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "250000", "cpu,cpuacct/a/cpu.cfs_period_us": "1e5"},
            "4:cpu,cpuacct:/a",
            None,
        ),
        (
            {
                "cpu,cpuacct/a/cpu.cfs_quota_us": "250000",
                "cpu,cpuacct/a/cpu.cfs_period_us": "100000",
            },
            "7:memory:/x\n4:cpu,cpuacct:/a",
            2.5,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu:/", None),
    ],
)
def testcgroup_quota_is_the_smallest_of_all_levels(
    tmp_path: Path, files: dict[str, str], own: str, quota: float | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    listed = tmp_path / "own"
    listed.write_text(f"{own}\n")
    assert cpu.cgroup_quota(listed, tmp_path) == quota
    assert cpu.cgroup_quota(tmp_path / "missing", tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "cpus"), [(None, 8), (0.1, 1), (1.0, 1), (1.5, 2), (8.0, 8), (64.0, 8)]
)
def test_available_cpus_is_at_most_the_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cpus: int
) -> None:
    monkeypatch.setattr(cpu, "_affinity", lambda: 8)
    monkeypatch.setattr(cpu, "cgroup_quota", lambda: quota)
    assert cpu.available_cpus() == cpus
