import Testing

@testable import LifelineServer

@Suite("What the limits of a system allow")
struct CapacityTests {
    private func bound(_ limit: UInt64?, used: UInt64 = 0, each: UInt64 = 1, _ name: String = "x") -> Capacity.Bound {
        Capacity.Bound(name: name, limit: limit, used: used, each: each, remedy: "sysctl \(name)")
    }

    @Test(
        "A limit allows what is left of it, divided by what each costs",
        arguments: [
            (100, 0, 1, 100), (100, 7, 1, 93), (100, 7, 2, 46), (100, 100, 1, 0), (100, 101, 1, 0), (0, 0, 1, 0),
            (nil, 7, 1, nil), (16, 16, 0, nil), (15, 16, 0, 0), (.max, 0, 1, .max), (.max, .max, 1, 0),
        ] as [(UInt64?, UInt64, UInt64, UInt64?)])
    func connections(_ limit: UInt64?, _ used: UInt64, _ each: UInt64, _ expected: UInt64?) {
        #expect(bound(limit, used: used, each: each).connections == expected)
    }

    @Test("What allows the fewest is the first, and decides whether it is enough")
    func first() {
        let bounds = [bound(nil, "a"), bound(500, used: 100, "b"), bound(1000, each: 3, "c"), bound(9, each: 0, "d")]
        for (wanted, isEnough) in [(1, true), (332, true), (333, true), (334, false)] {
            let capacity = Capacity(wanted: UInt64(wanted), bounds: bounds, remarks: [])
            #expect(capacity.first?.name == "c" && capacity.isEnough == isEnough)
            let verdict = capacity.report.split(separator: "\n").last!
            #expect(verdict.contains("c stops it at 333. Raise it (sysctl c)") == !isEnough)
            #expect(verdict.contains("is possible. More are stopped by c first, at 333.") == isEnough)
        }
        let free = Capacity(wanted: 10, bounds: [bound(nil), bound(20, each: 0)], remarks: [])
        #expect(free.isEnough && free.first == nil && free.report.hasSuffix("no limit here stops more."))
        let none = Capacity(wanted: 1, bounds: [bound(3, used: 16, each: 0), bound(5)], remarks: [])
        #expect(!none.isEnough && none.first?.used == 16)
    }

    @Test("The table has a line for each limit, in columns, and the remarks above the verdict")
    func table() {
        var memory = bound(64 << 20, used: 3 << 20, each: 256 << 10, "memory")
        memory.isBytes = true
        let capacity = Capacity(
            wanted: 4, bounds: [bound(20000, used: 16, each: 0, "files"), memory, bound(nil, used: 5, "tasks")],
            remarks: ["Mind the gap."])
        #expect(
            capacity.report == """
                limit    value    in use  for each  connections
                files    20000        16         -          any
                memory  64 MiB  3072 KiB   256 KiB          244
                tasks     none         5         1          any

                Mind the gap.
                --max-connections 4 is possible. More are stopped by memory first, at 244.
                """)
    }

    @Test("A process is in its own control group and all above it, of version 2")
    func unified() {
        let groups = ControlGroup.all(for: "pids", in: "0::/system.slice/lifeline.service\n")
        #expect(
            groups.map(\.directory) == [
                "/sys/fs/cgroup/system.slice/lifeline.service", "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup",
                "/sys/fs/cgroup/unified/system.slice/lifeline.service", "/sys/fs/cgroup/unified/system.slice",
                "/sys/fs/cgroup/unified",
            ])
        #expect(groups.allSatisfy { $0.isUnified })
        #expect(ControlGroup.all(for: "memory", in: "0::/\n").first?.directory == "/sys/fs/cgroup")
    }

    @Test("A group whose processes the kernel kills together is named, with what helps")
    func oomGroup() throws {
        let files = ["/sys/fs/cgroup/a/memory.oom.group": "1\n", "/sys/fs/cgroup/a/b/memory.oom.group": "0\n"]
        let remark = try #require(ControlGroup.killedTogether(in: "0::/a/b\n") { files[$0] })
        #expect(remark.hasPrefix("/sys/fs/cgroup/a/memory.oom.group is 1: ") && remark.contains("OOMPolicy=continue"))
        #expect(ControlGroup.killedTogether(in: "0::/c\n") { files[$0] } == nil)
        #expect(ControlGroup.killedTogether(in: "3:memory:/a\n") { files[$0] } == nil)
    }

    @Test("Of version 1 each controller has a tree of its own")
    func ofVersion1() {
        let text = "9:name=systemd:/user\n4:cpu,cpuacct:/a\n3:memory:/a/b\n2:pids:/\n1:pidsx:/no\n"
        let memory = ControlGroup.all(for: "memory", in: text)
        #expect(memory.map(\.directory) == ["memory/a/b", "memory/a", "memory"].map { "/sys/fs/cgroup/" + $0 })
        #expect(memory.allSatisfy { !$0.isUnified })
        #expect(ControlGroup.all(for: "pids", in: text).map(\.directory) == ["/sys/fs/cgroup/pids"])
        #expect(ControlGroup.all(for: "cpuacct", in: text).first?.directory == "/sys/fs/cgroup/cpu,cpuacct/a")
        #expect(ControlGroup.all(for: "io", in: text).isEmpty)
    }

    @Test(
        "What cannot be read, or lies outside of what this process sees, is no group",
        arguments: ["", "\n", "0::", "nonsense", "0::/../outside", "0::relative", "3:memory", "::/x"])
    func strange(_ text: String) {
        #expect(ControlGroup.all(for: "memory", in: text).isEmpty)
    }
}
