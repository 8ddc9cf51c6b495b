/// What the page of the report looks like and does. Nothing is loaded from anywhere.
enum HTMLStyle {
    static let style = """

        :root { --back: #fff; --panel: #f6f8fa; --line: #d0d7de; --text: #1b1f24; --muted: #57606a; --link: #0a58b5;
          --passed: #1a7433; --failed: #b3261e; --failed-back: #fdf0ef; --sent: #0a58b5; --got: #8a4100; }
        @media (prefers-color-scheme: dark) {
          :root { --back: #14171a; --panel: #1d2125; --line: #3a4046; --text: #e6e8ea; --muted: #a5adb5; --link: #82baff;
            --passed: #5cc77d; --failed: #ff8f86; --failed-back: #2f1e1d; --sent: #82baff; --got: #f0b070; }
        }
        * { box-sizing: border-box; }
            body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 0 auto;
          max-width: 76rem; padding: 1rem; overflow-wrap: break-word; }
        h1 { font-size: 1.5rem; line-height: 1.2; margin: .5rem 0; }
        h2 { font-size: 1.25rem; margin: 2rem 0 .5rem; }
        a { color: var(--link); }
        :focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
        .subject { color: var(--muted); margin: 0; }
        .verdict { font-weight: 600; font-size: 1.125rem; margin: .75rem 0; }
        .verdict.passed, .mark { color: var(--passed); }
        .verdict.failed, .failed .mark, .complaint, td.failed { color: var(--failed); }
        .skipped .mark { color: var(--muted); }
        .numbers { display: flex; flex-wrap: wrap; gap: .4rem; margin: 0 0 1rem; }
        .numbers div { background: var(--panel); border-radius: .4rem; padding: .35rem .7rem; }
        .numbers dt { color: var(--muted); font-size: .8125rem; }
        .numbers dd { font-size: 1.25rem; font-weight: 600; margin: 0; }
        nav a { margin-right: 1rem; }

        table { border-collapse: collapse; text-align: left; }
        th, td { padding: .25rem .5rem; vertical-align: top; font-weight: normal; border-top: 1px solid var(--line); }
        thead th { white-space: nowrap; color: var(--muted); font-size: .8125rem; border-top: 0; }
        .sections td, .sections thead th + th { text-align: right; font-variant-numeric: tabular-nums; }
        .sections { width: 100%; max-width: 40rem; }
        td.failed { font-weight: 700; }
        td.none, td.skipped { color: var(--muted); }

        .case { border-left: 4px solid var(--passed); background: var(--panel); margin: 2px 0; padding: .3rem .6rem; }
        .case.failed { border-color: var(--failed); background: var(--failed-back); }
        .case.skipped { border-color: var(--muted); }
        article.case { margin: .75rem 0; padding: .5rem .75rem; }
        .case > summary, .case > h3, .case > a { display: flex; flex-wrap: wrap; column-gap: .6rem; margin: 0;
          font-size: 1rem; font-weight: normal; color: inherit; text-decoration: none; }
        .case > summary { cursor: pointer; }
        .case > a:hover .what, .case > summary:hover .what { text-decoration: underline; }
        .mark, .level, .time { font-size: .8125rem; line-height: 1.85; white-space: nowrap; }
        .level, .time { color: var(--muted); }
        .id { font-weight: 600; white-space: nowrap; }
        .what { flex: 1 0 100%; order: 1; }
        .time { margin-left: auto; }
        .group > h3 { font-size: 1.0625rem; margin: 1.25rem 0 .25rem; }
        .complaint { font-weight: 600; margin: .25rem 0; }
        .verdicts { color: var(--muted); font-size: .875rem; margin: .25rem 0; }
        .case table { width: 100%; font-size: .875rem; margin: .5rem 0; background: var(--back); }
        caption { text-align: left; color: var(--muted); padding: .25rem .5rem; background: var(--back); }
        .case > .wire > summary { cursor: pointer; color: var(--link); }

        .log { table-layout: fixed; }
        .log th:first-child { width: 5rem; }
        .log td:first-child { color: var(--muted); font-variant-numeric: tabular-nums; }
        .log td:first-child b { display: block; }
        .log div { padding-left: 1rem; text-indent: -1rem; }
        .log b { font-weight: 600; }
        .sent b { color: var(--sent); }
        .got b { color: var(--got); }
        .log i { font-style: normal; color: var(--muted); margin-left: .4rem; }
        .part { color: var(--muted); }
        .hex { display: block; font: .8125rem/1.4 ui-monospace, monospace; color: var(--muted); }
        #bytes:not(:checked) ~ section .hex { display: none; }

        .tools { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; }
        .tools { background: var(--back); padding: .4rem 0; }
        [hidden] { display: none !important; }
        input[type=search], select, button { font: inherit; color: var(--text); background: var(--back);
          border: 1px solid var(--muted); border-radius: .3rem; padding: .15rem .5rem; }
        input[type=search] { width: 11rem; }
        #count { color: var(--muted); font-size: .875rem; }

        @media (min-width: 60rem) {
          .case > summary, .case > h3, .case > a { display: grid; align-items: baseline;
            grid-template-columns: 5.2rem 5rem 1fr 8.5rem 5rem; }
          .what { order: 0; }
          .log th:first-child { width: 8rem; }
          .log td:first-child b { display: inline; }
          .tools { position: sticky; top: 0; z-index: 1; }
          .group, .group > .case { scroll-margin-top: 3.5rem; }
          .time { text-align: right; }
        }
        @media print {
          body { max-width: none; font-size: 10pt; padding: 0; }
          .tools, nav, #bytes, #bytes + label { display: none; }
          .case { background: none; break-inside: avoid; }
          article.case { break-inside: auto; }
          h2, h3 { break-after: avoid; }
        }

        """

    /// The filter: words and a state choose cases. A link to a case opens it.
    static let script = """

        (function () {
          'use strict';
          var byId = function (id) { return document.getElementById(id); };
          var find = byId('find'), show = byId('show'), count = byId('count'), open = byId('open');
          var groups = Array.from(document.querySelectorAll('.group')).map(function (group) {
            var title = group.querySelector('h3').textContent;
            return { element: group, cases: Array.from(group.querySelectorAll('.case')).map(function (element) {
              var link = element.querySelector(':scope > a');
              var full = link ? byId(decodeURIComponent(link.hash.slice(1))) : element;
              var head = full.querySelector(link ? 'h3' : 'summary').textContent;
              var complaint = link ? full.querySelector('.complaint').textContent : '';
              return { element: element, full: full, text: (title + ' ' + head + ' ' + complaint).toLowerCase(),
                is: element.className + (/ SHOULD /.test(head) ? ' should' : '') };
            }) };
          });
          function filter() {
            var words = find.value.toLowerCase().split(/\\s+/), shown = 0, all = 0;
            groups.forEach(function (group) {
              var here = 0;
              group.cases.forEach(function (one) {
                var fits = words.every(function (word) { return one.text.includes(word); })
                  && (' ' + one.is + ' ').includes(show.value ? ' ' + show.value + ' ' : '');
                one.element.hidden = !fits;
                one.full.hidden = !fits;
                here += fits;
              });
              group.element.hidden = here === 0;
              shown += here;
              all += group.cases.length;
            });
            count.textContent = shown === all ? all + ' cases' : shown + ' of ' + all + ' cases';
          }
          function target() {
            var element = byId(decodeURIComponent(location.hash.slice(1)));
            if (!element) return;
            if (element.closest('[hidden]')) { find.value = ''; show.value = ''; filter(); }
            if (element.matches('details')) element.open = true;
            element.scrollIntoView();
          }
          open.addEventListener('click', function () {
            var opens = open.textContent === 'Open all';
            groups.forEach(function (group) { group.cases.forEach(function (one) {
              var details = one.full.matches('details') ? one.full : one.full.querySelector('details');
              if (details && !(opens && one.full.hidden)) details.open = opens;
            }); });
            open.textContent = opens ? 'Close all' : 'Open all';
          });
          byId('filter').addEventListener('submit', function (event) { event.preventDefault(); });
          find.addEventListener('input', filter);
          show.addEventListener('change', filter);
          window.addEventListener('hashchange', target);
          byId('filter').hidden = false;
          filter();
          target();
        })();

        """
}
