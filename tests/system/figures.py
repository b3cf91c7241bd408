#!/usr/bin/python3
"""Each figure of /metrics against what it is of: the software key, the pool, the kernel; and the labels that are asked for."""
import json
import os
import re

from daemons import Softkey
from harness import check, check_equal, main, source_folder, test, wait_until
from web import start


def close(got, wanted, within, what):
    check(abs(got - wanted) <= within, f"{what}: {got}, which should be {wanted}")


@test("metrics: temperature, voltage and estimates are those of the vendor's published frames, which softkey reports")
def device(run):
    web, ekeyd, _ = start(run, softkeys=[Softkey(run, rate=86)])
    ekeyd.seeded(64)
    wait_until(lambda: any("shannon" in name for name in web.metrics()), "the key has reported")
    close(web.value("^ekeyd_source_temperature_celsius"), 315.0 - 273.15, 1.01, "temperature, which drifts by up to a degree")
    close(web.value("^ekeyd_source_voltage_volts"), 3.254, 0.0005, "voltage")
    # Reports change with every few packets: between two equal answers of the control socket there is one report.
    names = {("left", "raw"): "KeyRawShannonPerByteL", ("right", "raw"): "KeyRawShannonPerByteR", ("xor", "raw"): "KeyRawShannonPerByteX",
             ("left", "debiased"): "KeyDbsdShannonPerByteL", ("right", "debiased"): "KeyDbsdShannonPerByteR"}

    def told():
        with ekeyd.controller() as control:
            statistics = control.statistics("1")
        return {name: float(statistics[name]) for name in names.values()}

    def same():
        before, figures = told(), web.metrics()
        return (before, figures) if before == told() else None
    before, figures = wait_until(same, "no report comes while they are asked for")
    for (generator, stage), name in names.items():
        got = next(value for sample, value in figures.items() if f'generator="{generator}",stage="{stage}"' in sample)
        close(got, before[name], 0.001, f"{generator}, {stage}, which is {name}")
        close(got, 2.9, 0.1, f"{generator}, {stage}, of 2.93 to 2.99 in the published frames, less a part of a shannon")


@test("metrics: the pool's level is what EGD tells, and the kernel's what /proc tells")
def levels(run):
    web, ekeyd, _ = start(run)
    wait_until(lambda: web.value("^ekeyd_pool_bytes$") == 65536, "the pool is full")
    with ekeyd.client() as client:
        check_equal(client.level() // 8, 65536, "bytes in the pool, as EGD tells")
        client.read(100)
    wait_until(lambda: web.value("^ekeyd_pool_out_bytes_total$") >= 100, "bytes taken out")  # a document is kept for a while
    with open("/proc/sys/kernel/random/entropy_avail", encoding="ascii") as file:
        close(web.value("^ekeyd_kernel_entropy_available$"), int(file.read()), 64, "the kernel's entropy, which others use, too")


@test("metrics: forged packets and failed health tests of a key are counted by kind")
def faults(run):
    keys = [Softkey(run, "--fault", "bad-mac@300", name="forged"), Softkey(run, "--fault", "stuck@300", name="stuck")]
    web, _, _ = start(run, softkeys=keys)
    wait_until(lambda: web.value('packets_total.*source="1".*result="bad"') == 1, "the forged packet is counted")
    check_equal(web.value('packets_total.*source="2".*result="bad"'), 0, "forged packets of the other key")
    wait_until(lambda: web.value('health_failures_total.*source="2".*repetition_count') >= 1, "the failed test is counted")
    for name, value in web.metrics().items():
        if "health_failures_total" in name and not ('source="2"' in name and "repetition_count" in name):
            check_equal(value, 0, name)
    check_equal(web.value('source_up.*source="2"'), 0, "the failed key is up")
    check_equal(web.value('source_health.*source="2".*state="failed"'), 1, "its state")


@test("prometheus: every value of a label that the dashboard and the alerts ask for is one that ekeyd has")
def label_values(run):
    web, ekeyd, _ = start(run)
    ekeyd.seeded(64)
    names = list(web.metrics())
    folder = os.path.join(source_folder(), "contrib/prometheus")
    with open(os.path.join(folder, "ekeyd-dashboard.json"), encoding="utf-8") as file:
        asked = [target["expr"] for panel in json.load(file)["panels"] for target in panel["targets"]]
    with open(os.path.join(folder, "ekeyd.rules.yml"), encoding="utf-8") as file:
        asked += re.findall(r"(?m)^ +expr: (.*)$", file.read())
    tried = 0
    for family, labels in (pair for one in asked for pair in re.findall(r"(ekeyd_\w+)\{([^}]*)\}", one)):
        for label, value in re.findall(r'(\w+)=~?"([^"$]*)"', labels):
            for one in value.split("|"):
                tried += 1
                check(any(name.startswith(family + "{") and f'{label}="{one}"' in name for name in names),
                      f'ekeyd has no {family} with {label}="{one}"')
    check(tried >= 7, f"only {tried} values of labels are asked for")


if __name__ == "__main__":
    main()
