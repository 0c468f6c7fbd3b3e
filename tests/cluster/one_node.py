"""A Slurm cluster of one node for tests, all of it below one folder: with or without accounting and GPUs."""

import getpass
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

DAEMONS = ("munged", "slurmctld", "slurmd")
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db")
PACKAGES = "slurm-wlm slurmdbd munge mariadb-server"
CONFIGURATIONS = ("slurm.conf", "slurmdbd.conf", "gres.conf")
CONFIGURATION = Path("/etc/slurm/slurm.conf")  # where jobs look for it, whatever the variable SLURM_CONF said
PATIENCE = 60  # seconds until a daemon answers

_SLURM = """
ClusterName=crosseyed
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
MessageTimeout={message_timeout}
MinJobAge={min_job_age}
KillWait=5
{more}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} {gres} State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime={minutes} State=UP
"""

_DATABASE = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort={ports[2]}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[3]}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
"""


def missing():
    """Say why no cluster can be brought up here, or return nothing."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "the daemons of Slurm need root"
    _forget_killed()
    if os.path.lexists(CONFIGURATION):
        return f"{CONFIGURATION} is there: this machine belongs to a cluster already"
    absent = [name for name in (*DAEMONS, *ACCOUNTING) if _program(name) is None]
    return f"{', '.join(absent)} not installed; on Debian: apt-get install {PACKAGES}" if absent else None


def _forget_killed():
    """Remove links to the folder of a cluster whose test was killed, when the folder is gone."""
    for name in CONFIGURATIONS:
        link = CONFIGURATION.parent / name
        if link.is_symlink() and not link.exists():
            link.unlink()


class OneNode:
    """The cluster; its programs are started one by one, so that each can be ended for a while."""

    def __init__(
        self,
        folder,
        *,
        accounting=False,
        gpus=0,
        cpus=8,
        memory=64000,
        minutes=600,
        min_job_age=300,
        watches_memory=False,
    ):
        self.folder, self.accounting, self.processes = Path(folder), accounting, {}
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)
        more = "AccountingStorageType=accounting_storage/none"
        ports = _free_ports(4)
        if accounting:
            more = (
                "AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=localhost\n"
                f"AccountingStoragePort={ports[2]}\nAccountingStoragePass={self.folder}/munge.socket\n"
                "AccountingStorageEnforce=associations"
            )
        gather = "JobAcctGatherType=jobacct_gather/none"
        if watches_memory:  # and ends jobs that have more than they asked for
            gather = (
                "JobAcctGatherType=jobacct_gather/linux\nJobAcctGatherFrequency=task=2\n"
                "JobAcctGatherParams=OverMemoryKill"
            )
        values = {
            "host": socket.gethostname().split(".")[0],
            "user": getpass.getuser(),
            "folder": self.folder,
            "ports": ports,
            "cpus": cpus,
            "memory": memory,
            "minutes": minutes,
            "min_job_age": min_job_age,
            "message_timeout": 10,
            "gres": f"Gres=gpu:{gpus}" if gpus else "",
            "more": f"{more}\n{gather}" + ("\nGresTypes=gpu" if gpus else ""),
        }
        (self.folder / "slurm.conf").write_text(_SLURM.format(**values))
        (self.folder / "slurmdbd.conf").write_text(_DATABASE.format(**values))
        (self.folder / "slurmdbd.conf").chmod(0o600)
        for number in range(gpus):  # a file each that stands for the device
            (self.folder / f"gpu{number}").touch()
        devices = f"Name=gpu File={self.folder}/gpu[0-{gpus - 1}]\n" if gpus else ""
        (self.folder / "gres.conf").write_text(devices)
        self.ports = ports

    def start(self):
        """Start every daemon and wait until the node takes jobs."""
        CONFIGURATION.parent.mkdir(exist_ok=True)
        for name in CONFIGURATIONS:
            (CONFIGURATION.parent / name).symlink_to(self.folder / name)
        for name in ("state", "spool", "database"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        places = [f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
        self._daemon("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", *places)
        self._wait_for("munge", lambda: (self.folder / "munge.socket").exists())
        if self.accounting:
            self._start_accounting()
        self.start_controller()
        self._daemon("slurmd", "-D", "-N", socket.gethostname().split(".")[0])
        self._wait_for("the node", lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"))
        return self

    def start_controller(self):
        """Start slurmctld and wait until it answers."""
        self._daemon("slurmctld", "-D")
        self._wait_for("slurmctld", lambda: "UP" in self.ask("scontrol", "ping"))

    def stop_controller(self):
        """End slurmctld, as for maintenance; jobs go on."""
        self._end("slurmctld")

    def ask(self, *command):
        """Run a command of Slurm and return what it prints, or nothing if it fails."""
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    def jobs(self):
        """Return the states of the jobs that the controller remembers, by what they are about."""
        lines = self.ask("squeue", "--noheader", "--states=all", "--format=%i|%T|%k").splitlines()
        return {number: (state, about) for number, state, about in (line.split("|") for line in lines)}

    def stop(self):
        """End every job and every daemon."""
        self.ask("scancel", f"--user={getpass.getuser()}")
        for name in reversed(list(self.processes)):
            self._end(name)
        for path in CONFIGURATION.parent.iterdir():
            if path.is_symlink() and path.readlink().parent == self.folder:
                path.unlink()
        mark = str(self.folder)
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if any(mark in word for word in process.cmdline()):
                    process.kill()

    def _start_accounting(self):
        database = self.folder / "database"
        subprocess.run(
            [_program("mariadb-install-db"), "--no-defaults", f"--datadir={database}", "--user=root",
             "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, capture_output=True,
        )  # fmt: skip
        self._daemon(
            "mariadbd", "--no-defaults", "--user=root", f"--datadir={database}",
            f"--socket={database}/socket", "--bind-address=127.0.0.1", f"--port={self.ports[3]}",
            "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--innodb-lock-wait-timeout=900",
        )  # fmt: skip
        grant = (
            "CREATE DATABASE slurm_acct; CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm'; "
            "CREATE USER slurm@localhost IDENTIFIED BY 'slurm'; "
            "GRANT ALL ON slurm_acct.* TO slurm@'127.0.0.1'; GRANT ALL ON slurm_acct.* TO slurm@localhost;"
        )
        client = ["mariadb", "--no-defaults", f"--socket={database}/socket", "--user=root"]
        self._wait_for(
            "the database",
            lambda: (
                subprocess.run([*client, "-e", "SELECT 1"], capture_output=True, check=False).returncode == 0
            ),
        )
        subprocess.run([*client, "-e", grant], check=True, capture_output=True)
        self._daemon("slurmdbd", "-D")
        manage = ("sacctmgr", "--immediate", "add")
        self._wait_for("slurmdbd", lambda: self.ask(*manage, "cluster", "crosseyed"))
        self.ask(*manage, "account", "vision", "Cluster=crosseyed")
        self.ask(*manage, "user", getpass.getuser(), "Account=vision")

    def _daemon(self, name, *arguments):
        with open(self.folder / f"{name}.said", "ab") as said:
            self.processes[name] = subprocess.Popen(
                [_program(name), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _end(self, name):
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)
            return
        process.kill()
        process.wait()

    def _wait_for(self, what, is_there):
        deadline = time.monotonic() + PATIENCE
        while not is_there():
            if time.monotonic() > deadline:
                said = {
                    path.name: path.read_text(errors="replace")[-500:] for path in self.folder.glob("*.log")
                }
                raise RuntimeError(f"{what} is not there: {json.dumps(said, indent=1)}")
            time.sleep(0.2)


def _program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
