/* The bare netlink loop that the `lab` benchmark compares with: N/2 pairs of routers, two veth links each, a /31 on
 * each link end, a /32 on lo, all up. One process, one thread, one socket and one batch for each namespace; nothing
 * that is not asked for. Prints the nanoseconds of building and of dropping the namespaces, as "BUILD DROP\n". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct {
	char bytes[8192];
	int length, messages, sequence;
} batch;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct nlmsghdr *begin(int type, int flags, const void *body, int length)
{
	struct nlmsghdr *message = (void *)(batch.bytes + batch.length);
	*message = (struct nlmsghdr){
		.nlmsg_len = NLMSG_LENGTH(length),
		.nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags,
		.nlmsg_seq = ++batch.sequence,
	};
	memcpy(NLMSG_DATA(message), body, length);
	return message;
}

static struct rtattr *add(struct nlmsghdr *message, int type, const void *value, int length)
{
	struct rtattr *attribute = (void *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));
	attribute->rta_type = type;
	attribute->rta_len = RTA_LENGTH(length);
	if (length)
		memcpy(RTA_DATA(attribute), value, length);
	message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + RTA_ALIGN(attribute->rta_len);
	return attribute;
}

static void close_nest(struct nlmsghdr *message, struct rtattr *nest)
{
	nest->rta_len = (char *)message + message->nlmsg_len - (char *)nest;
}

static void finish(struct nlmsghdr *message)
{
	batch.length += NLMSG_ALIGN(message->nlmsg_len);
	batch.messages++;
}

static void commit(int socket)
{
	char answer[16384];
	if (send(socket, batch.bytes, batch.length, 0) < 0)
		fail("send");
	while (batch.messages > 0) {
		int length = recv(socket, answer, sizeof answer, 0);
		if (length < 0)
			fail("recv");
		for (struct nlmsghdr *m = (void *)answer; NLMSG_OK(m, length); m = NLMSG_NEXT(m, length)) {
			if (m->nlmsg_type != NLMSG_ERROR)
				continue;
			if (((struct nlmsgerr *)NLMSG_DATA(m))->error) {
				fprintf(stderr, "refused: %d\n", ((struct nlmsgerr *)NLMSG_DATA(m))->error);
				exit(1);
			}
			batch.messages--;
		}
	}
	batch.length = 0;
}

static void veth(int pair, int link, int peer_namespace)
{
	char name[16];
	int base = 100 + (pair * 2 + link) * 2;
	struct ifinfomsg a = {.ifi_index = base}, b = {.ifi_index = base + 1};
	snprintf(name, sizeof name, "eth%d", link);
	struct nlmsghdr *message = begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &a, sizeof a);
	add(message, IFLA_IFNAME, name, strlen(name) + 1);
	struct rtattr *info = add(message, IFLA_LINKINFO, NULL, 0);
	add(message, IFLA_INFO_KIND, "veth", 4);
	struct rtattr *data = add(message, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = add(message, VETH_INFO_PEER, &b, sizeof b);
	add(message, IFLA_IFNAME, name, strlen(name) + 1);
	add(message, IFLA_NET_NS_FD, &peer_namespace, 4);
	close_nest(message, peer);
	close_nest(message, data);
	close_nest(message, info);
	finish(message);
}

static void address(int index, unsigned host_order, int prefix_length)
{
	struct ifaddrmsg body = {.ifa_family = AF_INET, .ifa_prefixlen = prefix_length, .ifa_index = index};
	unsigned value = htonl(host_order);
	struct nlmsghdr *message = begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
	add(message, IFA_LOCAL, &value, 4);
	add(message, IFA_ADDRESS, &value, 4);
	finish(message);
}

static void up(int index)
{
	struct ifinfomsg body = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	finish(begin(RTM_NEWLINK, 0, &body, sizeof body));
}

int main(int count, char **arguments)
{
	int pairs = count > 1 ? atoi(arguments[1]) / 2 : 2;
	int *namespaces = calloc(pairs * 2, sizeof *namespaces);
	long long start = now();
	for (int pair = 0; pair < pairs; pair++) {
		int sockets[2];
		for (int side = 0; side < 2; side++) {
			int *namespace = &namespaces[pair * 2 + side];
			if (unshare(CLONE_NEWNET))
				fail("unshare");
			*namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
			sockets[side] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
			if (*namespace < 0 || sockets[side] < 0)
				fail("open");
		}
		for (int link = 0; link < 2; link++)
			veth(pair, link, namespaces[pair * 2 + 1]);
		commit(sockets[0]);
		for (int side = 0; side < 2; side++) {
			up(1);
			address(1, 0xac100000 + (side << 16) + pair, 32);
			for (int link = 0; link < 2; link++) {
				int end = (pair * 2 + link) * 2 + side;
				address(100 + end, 0x0a000000 + end, 31);
				up(100 + end);
			}
			commit(sockets[side]);
			close(sockets[side]);
		}
	}
	long long built = now();
	for (int i = 0; i < pairs * 2; i++)
		close(namespaces[i]);
	printf("%lld %lld\n", built - start, now() - built);
	return 0;
}
