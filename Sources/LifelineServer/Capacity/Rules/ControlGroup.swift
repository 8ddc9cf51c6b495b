/// The control groups that a process is in, from its own up to the root: each of them may have limits (cgroups(7)).
struct ControlGroup: Equatable {
    /// Where its files are.
    let directory: String
    /// Whether it is one of version 2, where all controllers have one tree.
    let isUnified: Bool

    /// The groups that /proc/self/cgroup names and that the controller `name` may limit; of version 2 where the
    /// controller is there, else of version 1. Those of one version stand in their order, the process's own first.
    static func all(for name: String, in text: String) -> [ControlGroup] {
        text.split(separator: "\n").flatMap { line -> [ControlGroup] in
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, parts[2].hasPrefix("/"), !parts[2].contains("/..") else { return [] }
            if parts[0] == "0", parts[1].isEmpty {
                // Beside version 1 the tree of version 2 is mounted in another place.
                return ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].flatMap { root in
                    upwards(parts[2]).map { ControlGroup(directory: root + $0, isUnified: true) }
                }
            }
            guard parts[1].split(separator: ",").contains(name[...]) else { return [] }
            return upwards(parts[2]).map {
                ControlGroup(directory: "/sys/fs/cgroup/\(parts[1])" + $0, isUnified: false)
            }
        }
    }

    /// What to say where the kernel kills all processes of one of these groups when its memory runs out
    /// (memory.oom.group); nil where it kills one. `text` is /proc/self/cgroup, and `read` returns the text of a file.
    static func killedTogether(in text: String, read: (String) -> String?) -> String? {
        let file = all(for: "memory", in: text).lazy.filter(\.isUnified).map { $0.directory + "/memory.oom.group" }
            .first { read($0)?.hasPrefix("1") ?? false }
        guard let file else { return nil }
        return
            "\(file) is 1: when memory runs out there, the kernel kills the server and every connection, not the one "
            + "process that leaks. Set it to 0 (systemd: OOMPolicy=continue; Kubernetes: singleProcessOOMKill of the "
            + "kubelet)."
    }

    /// `/a/b`, `/a`, and nothing for the root.
    private static func upwards(_ path: Substring) -> [String] {
        let names = path.split(separator: "/")
        return (0...names.count).reversed().map { names.prefix($0).map { "/" + $0 }.joined() }
    }
}
