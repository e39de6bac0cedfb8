//! Just enough of WeChat's XML to look at a message in a test. What the product reads it with is not
//! used here: both would make the same mistake.

/// The text of the first element of this name, out of its CDATA.
#[must_use]
pub fn element(xml: &str, name: &str) -> Option<String> {
    let rest = xml.split_once(&format!("<{name}>"))?.1;
    let inner = rest.split_once(&format!("</{name}>"))?.0;
    let bare = inner.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>"));
    // Its own end stands in a text as two sections.
    let joined = bare.map(|text| text.replace("]]]]><![CDATA[>", "]]>"));
    Some(joined.unwrap_or_else(|| unescape(inner)))
}

/// An element whose text may be anything.
#[must_use]
pub fn cdata(name: &str, text: &str) -> String {
    format!("<{name}><![CDATA[{}]]></{name}>", text.replace("]]>", "]]]]><![CDATA[>"))
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_with_and_without_cdata() {
        let content = cdata("Content", "a < b ]]> c");
        let xml = format!("<xml>{content}<CreateTime>7</CreateTime></xml>");
        assert_eq!(element(&xml, "Content").unwrap(), "a < b ]]> c");
        assert_eq!(element(&xml, "CreateTime").unwrap(), "7");
        assert_eq!(element(&xml, "MsgId"), None);
    }
}
