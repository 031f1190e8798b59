# SPDX-License-Identifier: MIT
"""The sandbox of concd.service, line by line: what systemd has to make of it, and what becomes possible without."""
import collections

# A line of the unit; the same key as it would be without; an attempt of the probe, and what stops it with the line.
# Without the line the attempt gets through, or is stopped by what `without` names. `beside` are lines that are off in
# both cases, because they stop the same attempt. `unseen` says why there is no attempt. Three lines only say what is so
# without them, too (AmbientCapabilities=, KeyringMode= by default, DevicePolicy= by PrivateDevices=): that they are gone
# is seen in the unit's text, that they say something else by their effect.
Line = collections.namedtuple("Line", "line off attempt stops without beside unseen")


def seen(line, off, attempt, stops, without="through", beside=()):
    return Line(line, off, attempt, stops, without, tuple(beside), None)


def unseen(line, off, why):
    return Line(line, off, None, None, None, (), why)


# Has all rights, though it is not root: for lines that take some away which the service's user does not have anyway.
PRIVILEGED = ("CapabilityBoundingSet=~", "AmbientCapabilities=~")
UNFILTERED = ("SystemCallFilter=",)
# Each of these makes a filter of system calls, and none is made without giving up to gain privileges.
NO_FILTER_AT_ALL = UNFILTERED + (
    "SystemCallArchitectures=", "RestrictAddressFamilies=", "RestrictNamespaces=no", "RestrictRealtime=no",
    "RestrictSUIDSGID=no", "MemoryDenyWriteExecute=no", "LockPersonality=no", "ProtectClock=no",
    "ProtectKernelModules=no", "ProtectKernelLogs=no", "ProtectKernelTunables=no", "ProtectHostname=no",
    "PrivateDevices=no")

PATHS = "/dev/shm /run /tmp /var/tmp /var/lib/concd"
ALLOWED = "@system-service"
FORBIDDEN = "~@privileged @aio @keyring @memlock process_vm_readv process_vm_writev pidfd_getfd kcmp"

LINES = (
    seen("UMask=0077", "0022", "leave_readable_file", "EACCES"),
    seen("LimitNOFILE=16384", "infinity", "raise_file_limit", "EPERM"),
    unseen("TasksMax=8192", "infinity", "the booted system's cgroup has no controller \"pids\""),
    seen("NoNewPrivileges=yes", "no", "become_root_by_program", "EPERM", beside=NO_FILTER_AT_ALL),
    seen("CapabilityBoundingSet=", "~", "gain_capability", "EPERM"),
    seen("AmbientCapabilities=", "~", "inherit_capability", "EPERM", beside=("CapabilityBoundingSet=~",)),
    seen("KeyringMode=private", "shared", "find_users_key", "ENOKEY", beside=UNFILTERED),
    seen("LockPersonality=yes", "no", "change_personality", "EPERM"),
    seen("MemoryDenyWriteExecute=yes", "no", "map_writable_code", "EPERM"),
    seen("MemoryDenyWriteExecute=yes", "no", "make_data_code", "EPERM"),
    seen("ProtectSystem=strict", "no", "write_etc", "EROFS", beside=PRIVILEGED),
    seen("ProtectSystem=strict", "full", "write_var", "EROFS", beside=PRIVILEGED),
    seen("ProtectHome=yes", "no", "see_home", "EACCES"),
    seen("PrivateTmp=yes", "no", "see_planted_file", "ENOENT"),
    seen("PrivateDevices=yes", "no", "see_console", "ENOENT",
         beside=PRIVILEGED + ("DevicePolicy=auto", "ProtectClock=no")),
    seen("DevicePolicy=closed", "auto", "make_device", "EPERM",
         beside=PRIVILEGED + ("PrivateDevices=no", "ProtectClock=no")),
    seen("NoExecPaths=" + PATHS, "", "run_own_file", "EACCES"),
    seen("NoExecPaths=" + PATHS, "", "map_shared_memory_as_code", "EPERM"),
    seen("PrivateIPC=yes", "no", "see_planted_memory", "ENOENT"),
    seen("PrivateNetwork=yes", "no", "connect_abstract", "ECONNREFUSED"),
    seen("IPAddressDeny=any", "", "send_packet", "EPERM", beside=("RestrictAddressFamilies=", "PrivateNetwork=no")),
    seen("RestrictAddressFamilies=AF_UNIX", "", "open_inet", "EAFNOSUPPORT"),
    seen("ProtectClock=yes", "no", "set_clock", "EPERM", beside=PRIVILEGED + UNFILTERED),
    seen("ProtectControlGroups=yes", "no", "write_cgroup", "EROFS", beside=PRIVILEGED),
    seen("ProtectHostname=yes", "no", "set_hostname", "EPERM", beside=PRIVILEGED + UNFILTERED),
    seen("ProtectKernelLogs=yes", "no", "read_kernel_log", "EPERM", beside=PRIVILEGED + UNFILTERED),
    seen("ProtectKernelModules=yes", "no", "load_module", "EPERM", beside=PRIVILEGED + UNFILTERED),
    seen("ProtectKernelTunables=yes", "no", "see_kernel_symbols", "EACCES"),
    seen("ProtectProc=invisible", "default", "see_others_process", "ENOENT"),
    seen("RestrictNamespaces=yes", "no", "new_user_namespace", "EPERM"),
    seen("RestrictNamespaces=yes", "no", "clone3_namespace", "ENOSYS"),
    seen("RestrictRealtime=yes", "no", "set_realtime", "EPERM"),
    seen("RestrictSUIDSGID=yes", "no", "make_setuid_file", "EPERM"),
    seen("SystemCallArchitectures=native", "", "call_by_other_table", "SIGSYS"),
    seen("SystemCallErrorNumber=EPERM", "", "swap_on", "EPERM", without="SIGSYS"),
    seen("SystemCallFilter=" + ALLOWED, FORBIDDEN, "trace_child", "EPERM"),
    seen("SystemCallFilter=" + FORBIDDEN, ALLOWED, "lock_memory", "EPERM"),
    seen("SystemCallFilter=" + FORBIDDEN, ALLOWED, "read_childs_memory", "EPERM"),
)

# What systemd has to make of these and the others that are about safety: names and values of `systemctl show`. The
# filter, which is a list of some three hundred calls, has a test of its own.
EFFECTIVE = {
    "User": "concd", "Group": "concd", "DynamicUser": "no", "RemoveIPC": "no", "UMask": "0077",
    "RuntimeDirectory": "concd", "RuntimeDirectoryMode": "0755", "RuntimeDirectoryPreserve": "yes",
    "StateDirectory": "concd", "StateDirectoryMode": "0700", "WorkingDirectory": "/var/lib/concd",
    "Type": "notify", "NotifyAccess": "main", "Restart": "on-failure", "RestartUSec": "100ms",
    "RestartPreventExitStatus": "78", "TimeoutStartUSec": "30s", "TimeoutStopUSec": "15s", "KillMode": "mixed",
    "OOMPolicy": "continue", "StartLimitIntervalUSec": "1min", "StartLimitBurst": "10",
    "LimitNOFILE": "16384", "LimitNOFILESoft": "16384", "TasksMax": "8192",
    "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "AmbientCapabilities": "", "SecureBits": "0",
    "KeyringMode": "private", "LockPersonality": "yes", "MemoryDenyWriteExecute": "yes",
    "ProtectSystem": "strict", "ReadWritePaths": "", "ProtectHome": "yes", "PrivateTmp": "yes", "BindPaths": "",
    "PrivateDevices": "yes", "DevicePolicy": "closed", "DeviceAllow": "char-rtc r", "NoExecPaths": PATHS,
    "ExecPaths": "", "PrivateIPC": "yes", "PrivateNetwork": "yes", "JoinsNamespaceOf": "",
    "IPAddressDeny": "0.0.0.0/0 ::/0", "IPAddressAllow": "", "RestrictAddressFamilies": "AF_UNIX",
    "ProtectClock": "yes", "ProtectControlGroups": "yes", "ProtectHostname": "yes", "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes", "ProtectKernelTunables": "yes", "ProtectProc": "invisible", "ProcSubset": "all",
    "PrivateUsers": "no", "RestrictNamespaces": "yes", "RestrictRealtime": "yes", "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native", "SystemCallErrorNumber": "1", "Delegate": "no",
}

# The same of concd.socket: its own settings, and the place where what a killed daemon left is removed.
SOCKET = {
    "Listen": "/run/concd/concd.sock (Stream)", "FileDescriptorName": "varlink", "Accept": "no",
    "SocketUser": "root", "SocketGroup": "concd", "SocketMode": "0660", "DirectoryMode": "0755", "RemoveOnStop": "yes",
    "TimeoutUSec": "30s", "User": "concd", "Group": "concd", "RemoveIPC": "no", "UMask": "0077",
    "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "AmbientCapabilities": "", "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes", "ProtectSystem": "strict", "ReadWritePaths": "-/run/concd", "ProtectHome": "yes",
    "RestrictAddressFamilies": "AF_UNIX", "RestrictNamespaces": "yes", "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native", "SystemCallErrorNumber": "1",
}
