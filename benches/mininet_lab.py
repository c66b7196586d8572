"""The same lab in mininet, for the `lab` benchmark: prints the seconds of building and of stopping it."""
import sys
import time

sys.path.append("/usr/lib/python3/dist-packages")
from mininet.log import setLogLevel
from mininet.net import Mininet

setLogLevel("error")
pairs = int(sys.argv[1]) // 2
start = time.monotonic()
net = Mininet(controller=None, build=False)
hosts = {(i, k): net.addHost(f"{'ep'[k]}{i}", ip=None) for i in range(pairs) for k in (0, 1)}
for i in range(pairs):
    for j in (0, 1):
        net.addLink(hosts[i, 0], hosts[i, 1], intfName1=f"e{i}-eth{j}", intfName2=f"p{i}-eth{j}")
net.build()
for (i, k), host in hosts.items():
    for j in (0, 1):
        x = (i * 2 + j) * 2 + k
        address = f"10.{x >> 16 & 255}.{x >> 8 & 255}.{x & 255}"
        host.intf(f"{'ep'[k]}{i}-eth{j}").setIP(address, 31)
    host.cmd(f"ip link set lo up; ip addr add 172.{16 + k}.{i >> 8}.{i & 255}/32 dev lo")
built = time.monotonic()
net.stop()
print(built - start, time.monotonic() - built)
