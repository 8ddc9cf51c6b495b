import Basics
import Framing
import Posix

/// The head of a message for syslogd: priority, local time, name and process, as syslog(3) writes them.
struct SyslogHeader {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    /// LOG_DAEMON, shifted.
    private static let facility: UInt64 = 3 << 3

    let level: LogLevel
    let program: String
    let process: ProcessID
    let time: WallTime

    func put(into text: inout TextBuffer) {
        let severity: UInt64 =
            switch level {
            case .error: 3
            case .warning: 4
            case .info: 6
            case .debug: 7
            }
        text.put(UInt8(ascii: "<"))
        text.put(decimal: SyslogHeader.facility | severity)
        text.put(UInt8(ascii: ">"))
        text.put(SyslogHeader.months[Int(time.month) - 1])
        text.put(time.day < 10 ? "  " : " ")
        text.put(decimal: UInt64(time.day))
        text.put(UInt8(ascii: " "))
        text.put(decimal: UInt64(time.hour), digits: 2)
        text.put(UInt8(ascii: ":"))
        text.put(decimal: UInt64(time.minute), digits: 2)
        text.put(UInt8(ascii: ":"))
        text.put(decimal: UInt64(time.second), digits: 2)
        text.put(UInt8(ascii: " "))
        text.put(program)
        text.put(UInt8(ascii: "["))
        text.put(decimal: UInt64(process))
        text.put("]: ")
    }
}
