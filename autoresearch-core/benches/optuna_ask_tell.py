"""Microseconds per trial of Optuna's ask and tell, in memory and with its journal file storage."""

import tempfile
import time
from pathlib import Path

import optuna
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

TRIALS = 1000


def micros(storage):
    """The time of one trial of a trivial objective of one number, drawn at random."""
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))
    began = time.perf_counter()
    for _ in range(TRIALS):
        trial = study.ask()
        x = trial.suggest_float("x", 0.0, 1.0)
        study.tell(trial, x * x)
    return (time.perf_counter() - began) / TRIALS * 1e6


optuna.logging.set_verbosity(optuna.logging.ERROR)
memory = micros(InMemoryStorage())
with tempfile.TemporaryDirectory() as folder:
    journal = micros(JournalStorage(JournalFileBackend(str(Path(folder) / "journal.log"))))
print(f"memory {memory:.2f} us per trial, journal {journal:.2f} us per trial (Optuna {optuna.__version__})")
