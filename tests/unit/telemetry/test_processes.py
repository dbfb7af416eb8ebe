import os
from pathlib import Path

from deltaglider_proxy.telemetry.processes import ProcessUsage, own_peak_rss, read_process, total

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def fake(proc: Path, pid: int, cpu: tuple[int, int, int, int], peak_kb: int, fds: int, limit: str = "1024") -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    for number in range(fds):
        (folder / "fd" / str(number)).touch()
    before = "S " + " ".join(["0"] * 10)
    after = f"20 0 3 0 99 {7 * PAGE} 2 0"
    (folder / "stat").write_text(f"{pid} (a (b) c) {before} {' '.join(map(str, cpu))} {after}\n")
    (folder / "status").write_text(f"Name:\tx\nVmPeak:\t 9999999 kB\nVmHWM:\t {peak_kb} kB\n")
    (folder / "limits").write_text(f"Limit  Soft Limit  Hard Limit\nMax open files            {limit}   4096   files\n")


def test_a_name_with_parentheses_does_not_shift_the_fields(tmp_path: Path) -> None:
    fake(tmp_path, 7, (TICKS, TICKS, 0, 0), peak_kb=1000, fds=4)
    assert read_process(7, tmp_path) == ProcessUsage(2.0, 2 * PAGE, 1_024_000, 7 * PAGE, 3, 4, 1024)


def test_processes_are_summed_and_the_peak_is_the_largest(tmp_path: Path) -> None:
    fake(tmp_path, 7, (TICKS, 0, 5 * TICKS, 0), peak_kb=1000, fds=4)
    fake(tmp_path, 8, (TICKS, 0, 0, 0), peak_kb=3000, fds=5, limit="unlimited")
    assert total([7, 8, 7, 9], tmp_path) == ProcessUsage(7.0, 4 * PAGE, 3_072_000, 14 * PAGE, 6, 9, 1024)


def test_where_there_is_no_proc_there_are_no_numbers(tmp_path: Path) -> None:
    assert read_process(1, tmp_path) is None
    assert total([1, 2], tmp_path) is None


def test_this_process() -> None:
    usage = read_process(os.getpid())
    assert usage is not None
    assert usage.threads >= 1
    assert usage.open_fds >= 3
    assert usage.peak_resident_bytes >= usage.resident_bytes > 1 << 20
    assert own_peak_rss() > 1 << 20
