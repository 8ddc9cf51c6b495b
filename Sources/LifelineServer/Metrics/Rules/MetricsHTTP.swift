/// The HTTP that metrics need (RFC 9112): one request, one response, and the end.
enum MetricsHTTP {
    /// A longer head than this is refused.
    static let longest = 8192

    /// The response to the bytes that have come; nil where the head is not whole. `metrics` is called for /metrics
    /// alone.
    static func response(to bytes: [UInt8], metrics: () -> String) -> [UInt8]? {
        let text = String(decoding: bytes, as: UTF8.self)
        // A line may end without CR (RFC 9112, section 2.2). Swift takes CR LF for one letter.
        let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        guard lines.dropLast().contains("") else {
            return bytes.count < longest ? nil : answer("431 Request Header Fields Too Large", "the head is too long\n")
        }
        let words = lines[0].split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[2].hasPrefix("HTTP/1."), words[1].hasPrefix("/") else {
            return answer("400 Bad Request", "expected: GET /metrics HTTP/1.1\n")
        }
        guard words[0] == "GET" || words[0] == "HEAD" else {
            return answer("405 Method Not Allowed", "only GET is allowed\n", ["Allow: GET, HEAD"])
        }
        let path = words[1].prefix { $0 != "?" }
        guard path == "/metrics" else { return answer("404 Not Found", "there is /metrics, and nothing else\n") }
        return answer(
            "200 OK", metrics(), type: "text/plain; version=0.0.4; charset=utf-8", onlyHead: words[0] == "HEAD")
    }

    private static func answer(
        _ status: String, _ body: String, _ fields: [String] = [], type: String = "text/plain; charset=utf-8",
        onlyHead: Bool = false
    ) -> [UInt8] {
        let head =
            ["HTTP/1.1 \(status)", "Content-Type: \(type)", "Content-Length: \(body.utf8.count)", "Connection: close"]
            + fields
        return Array((head.joined(separator: "\r\n") + "\r\n\r\n" + (onlyHead ? "" : body)).utf8)
    }
}
