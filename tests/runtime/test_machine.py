from segrt.runtime import machine


def put(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def cpu_time(tmp_path, line):
    path = tmp_path / "stat"
    path.write_text(line)
    return machine.CpuTime(str(path))


def doubts(tmp_path, **changes):
    quiet = cpu_time(tmp_path, "cpu 0 0 0 0 0 0 0 0\n")
    arguments = {"before": quiet, "after": quiet, "throttled": 0, "cpus": tmp_path, "power": tmp_path} | changes
    return machine.doubts(arguments.pop("before"), arguments.pop("after"), **arguments)


def test_a_quiet_machine_on_mains_leaves_no_doubt(tmp_path):
    put(tmp_path, "AC/type", "Mains\n")
    put(tmp_path, "cpu0/cpufreq/scaling_governor", "performance\n")
    put(tmp_path, "cpu0/cpufreq/scaling_cur_freq", "3900000\n")
    put(tmp_path, "cpu0/cpufreq/cpuinfo_max_freq", "4000000\n")
    assert doubts(tmp_path) == []


def test_a_battery_is_told(tmp_path):
    put(tmp_path, "BAT0/type", "Battery\n")
    put(tmp_path, "BAT0/status", "Discharging\n")
    assert "on battery" in doubts(tmp_path)[0]
    put(tmp_path, "BAT0/status", "Charging\n")
    assert doubts(tmp_path) == []


def test_a_clock_that_is_held_down_is_told(tmp_path):
    put(tmp_path, "cpu0/cpufreq/scaling_governor", "powersave\n")
    put(tmp_path, "cpu0/cpufreq/scaling_cur_freq", "1500000\n")
    put(tmp_path, "cpu0/cpufreq/cpuinfo_max_freq", "4000000\n")
    found = doubts(tmp_path)
    assert "governor is powersave" in found[0]
    assert "1500 of 4000 MHz" in found[1]


def test_slowing_by_heat_is_counted_from_the_beginning(tmp_path):
    put(tmp_path, "cpu0/thermal_throttle/core_throttle_count", "7\n")
    put(tmp_path, "cpu1/thermal_throttle/core_throttle_count", "5\n")
    assert "slowed down by heat 2 times" in doubts(tmp_path, throttled=10)[0]
    assert doubts(tmp_path, throttled=12) == []


def test_time_taken_by_a_host_or_by_other_programs_is_told(tmp_path):
    before = cpu_time(tmp_path, "cpu 100 0 0 1000 0 0 0 0\n")
    stolen = cpu_time(tmp_path, "cpu 100 0 0 1900 0 0 0 100\n")
    assert "took 10% of its time" in doubts(tmp_path, before=before, after=stolen)[0]
    busy = cpu_time(tmp_path, "cpu 100500 0 0 101000 0 0 0 0\n")
    assert "other programs used 50%" in doubts(tmp_path, before=before, after=busy)[0]


def test_this_machine_has_a_name_cores_and_memory():
    facts = machine.facts()
    assert facts["cpu"]
    assert facts["cores"] >= 1
    assert facts["memory_gib"] > 0
    assert machine.resident_mb() > 10
