//! Messages and events of accounts: what their content is read as, from XML and from JSON.

use lingpai_wechat::push::{
    PushError,
    message::{
        CheckVerdict, EventArea, Heard, MessageContent, MessageEvent, MessagePush, MessageType,
        Place, PublishedArticle, RevokedConsent, ScanCode, SentPictures, StoreEvent,
        SubscribedTemplate, TrialApplication, to_json,
    },
};
use serde_json::json;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn xml(rest: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[oFan]]>\
         </FromUserName><CreateTime>1700000000</CreateTime>{rest}</xml>"
    )
}

fn push(rest: &str) -> MessagePush {
    MessagePush::parse(xml(rest).as_bytes()).expect(rest)
}

fn message(msg_type: &str, rest: &str) -> MessagePush {
    push(&format!("<MsgType><![CDATA[{msg_type}]]></MsgType><MsgId>7</MsgId>{rest}"))
}

fn event_push(event: &str, rest: &str) -> MessagePush {
    push(&format!("<MsgType>event</MsgType><Event><![CDATA[{event}]]></Event>{rest}"))
}

fn event(event: &str, rest: &str) -> MessageEvent {
    match event_push(event, rest).content {
        MessageContent::Event(event) => event,
        other => panic!("{event} is read as {other:?}"),
    }
}

/// Each message is read as expected, and is a fan's.
fn check_messages<const N: usize>(rows: [(&str, &str, MessageContent); N]) {
    for (msg_type, rest, expected) in rows {
        let push = message(msg_type, rest);
        assert!(push.content == expected, "{msg_type}: {:?}", push.content);
        assert_eq!(push.message_type(), MessageType::Message(msg_type));
        assert_eq!((push.openid(), push.is_event()), (Some("oFan"), false));
    }
}

#[test]
fn texts_and_media_of_a_fan_are_read() {
    let media = "<MediaId>m</MediaId><ThumbMediaId>t</ThumbMediaId>";
    let (media_id, thumb_media_id) = (some("m"), some("t"));
    check_messages([
        (
            "text",
            "<Content><![CDATA[ 你好 ]]></Content><bizmsgmenuid>101</bizmsgmenuid>",
            MessageContent::Text { content: " 你好 ".to_owned(), bizmsgmenuid: some("101") },
        ),
        (
            "image",
            "<PicUrl>u</PicUrl><MediaId>m</MediaId>",
            MessageContent::Image { pic_url: some("u"), media_id: media_id.clone() },
        ),
        (
            "voice",
            "<MediaId>m</MediaId><Format>amr</Format><MediaId16K>k</MediaId16K>\
             <Recognition>r</Recognition>",
            MessageContent::Voice {
                media_id: media_id.clone(),
                format: some("amr"),
                media_id_16k: some("k"),
                recognition: some("r"),
            },
        ),
        (
            "video",
            media,
            MessageContent::Video {
                media_id: media_id.clone(),
                thumb_media_id: thumb_media_id.clone(),
            },
        ),
        ("shortvideo", media, MessageContent::ShortVideo { media_id, thumb_media_id }),
    ]);
}

#[test]
fn places_links_cards_and_files_of_a_fan_are_read() {
    let page = "<Title>T</Title><Description>D</Description><Url>U</Url><AppId>wx1</AppId>\
                <PagePath>p</PagePath><ThumbUrl>u</ThumbUrl><ThumbMediaId>t</ThumbMediaId>";
    check_messages([
        (
            "location",
            "<Location_X>23.1</Location_X><Location_Y>113.3</Location_Y><Scale>20</Scale>\
             <Label>L</Label>",
            MessageContent::Location(Place {
                latitude: some("23.1"),
                longitude: some("113.3"),
                scale: some("20"),
                label: some("L"),
                poiname: None,
            }),
        ),
        (
            "link",
            page,
            MessageContent::Link { title: some("T"), description: some("D"), url: some("U") },
        ),
        (
            "miniprogrampage",
            page,
            MessageContent::MiniProgramPage {
                title: some("T"),
                appid: some("wx1"),
                page_path: some("p"),
                thumb_url: some("u"),
                thumb_media_id: some("t"),
            },
        ),
        (
            "file",
            "<Title>T</Title><FileKey>k</FileKey><FileMd5>5</FileMd5>\
             <FileTotalLen>9</FileTotalLen>",
            MessageContent::File {
                title: some("T"),
                description: None,
                file_key: some("k"),
                file_md5: some("5"),
                file_total_len: some("9"),
            },
        ),
        ("hologram", "", MessageContent::Other),
    ]);
}

#[test]
fn where_a_message_comes_from_stands_in_the_head() {
    let push = message(
        "text",
        "<Content>a</Content><MsgDataId>x</MsgDataId><Idx>2</Idx><BusinessId>b</BusinessId>",
    );
    assert_eq!(push.msg_data_id.as_deref(), Some("x"));
    assert_eq!(push.idx.as_deref(), Some("2"));
    assert_eq!(push.business_id.as_deref(), Some("b"));
}

#[test]
fn what_fans_do_is_read_whatever_the_letter_case() {
    let subscribe = event("subscribe", "<EventKey>qrscene_42</EventKey><Ticket>t</Ticket>");
    assert!(subscribe == MessageEvent::Subscribe { scene: some("42"), ticket: some("t") });
    let plain = MessageEvent::Subscribe { scene: None, ticket: None };
    assert!(event("Subscribe", "<EventKey></EventKey>") == plain);
    assert!(event("unsubscribe", "") == MessageEvent::Unsubscribe);
    let scan = event("SCAN", "<EventKey>42</EventKey><Ticket>t</Ticket>");
    assert!(scan == MessageEvent::Scan { ticket: some("t") });
    let place = |label: Option<String>, poiname| Place {
        latitude: some("1"),
        longitude: some("2"),
        scale: some("3"),
        label,
        poiname,
    };
    let location = "<Latitude>1</Latitude><Longitude>2</Longitude><Precision>3</Precision>";
    assert!(event("LOCATION", location) == MessageEvent::Location(place(None, None)));
    assert!(event("CLICK", "<EventKey>V1</EventKey>") == MessageEvent::Click);
    let menu = "<EventKey>k</EventKey><MenuId>9</MenuId>";
    assert!(event("VIEW", menu) == MessageEvent::View { menu_id: some("9") });
    let mini_program = MessageEvent::ViewMiniProgram { menu_id: some("9") };
    assert!(event("view_miniprogram", menu) == mini_program);

    let code = ScanCode { scan_type: some("qrcode"), scan_result: some("1") };
    let info = "<ScanCodeInfo><ScanType>qrcode</ScanType><ScanResult>1</ScanResult></ScanCodeInfo>";
    assert!(event("scancode_push", info) == MessageEvent::ScanCodePush(code.clone()));
    assert!(event("scancode_waitmsg", info) == MessageEvent::ScanCodeWait(code));
    let pictures = SentPictures { count: some("2"), md5_sums: vec!["a".into(), "b".into()] };
    let info = "<SendPicsInfo><Count>2</Count><PicList><item><PicMd5Sum>a</PicMd5Sum></item>\
                <item><PicMd5Sum>b</PicMd5Sum></item></PicList></SendPicsInfo>";
    assert!(event("pic_sysphoto", info) == MessageEvent::PicSysphoto(pictures.clone()));
    let album = MessageEvent::PicPhotoOrAlbum(pictures.clone());
    assert!(event("pic_photo_or_album", info) == album);
    assert!(event("pic_weixin", info) == MessageEvent::PicWeixin(pictures));
    let info = "<SendLocationInfo><Location_X>1</Location_X><Location_Y>2</Location_Y>\
                <Scale>3</Scale><Label>L</Label><Poiname>P</Poiname></SendLocationInfo>";
    let chosen = MessageEvent::LocationSelect(place(some("L"), some("P")));
    assert!(event("location_select", info) == chosen);

    let entered = MessageEvent::UserEnterTempSession { session_from: some("s") };
    assert!(event("user_enter_tempsession", "<SessionFrom>s</SessionFrom>") == entered);
    let clerk = "<KfAccount>k</KfAccount>";
    let created = MessageEvent::KfCreateSession { kf_account: some("k") };
    assert!(event("kf_create_session", clerk) == created);
    let closed = MessageEvent::KfCloseSession { kf_account: some("k") };
    assert!(event("kf_close_session", clerk) == closed);
    let clerks = "<FromKfAccount>a</FromKfAccount><ToKfAccount>b</ToKfAccount>";
    let switched =
        MessageEvent::KfSwitchSession { from_kf_account: some("a"), to_kf_account: some("b") };
    assert!(event("kf_switch_session", clerks) == switched);
    let guide = "<GuideScanEvent><qrcode_guide_openid>o</qrcode_guide_openid></GuideScanEvent>";
    let MessageEvent::GuideQrcodeScan { scan: Some(scan) } =
        event("guide_qrcode_scan_event", guide)
    else {
        panic!("a guide's code");
    };
    assert_eq!(scan.child_text("qrcode_guide_openid"), Some("o"));
}

#[test]
fn outcomes_of_sending_are_read() {
    let sent = event(
        "TEMPLATESENDJOBFINISH",
        "<MsgID>200163836</MsgID><Status><![CDATA[failed:user block]]></Status>",
    );
    let expected = MessageEvent::TemplateSendJobFinish {
        msg_id: some("200163836"),
        status: some("failed:user block"),
    };
    assert!(sent == expected);

    let mass = event(
        "MASSSENDJOBFINISH",
        "<MsgID>1</MsgID><Status>err(10001)</Status><TotalCount>5</TotalCount>\
         <FilterCount>4</FilterCount><SentCount>3</SentCount><ErrorCount>1</ErrorCount>\
         <CopyrightCheckResult><Count>1</Count></CopyrightCheckResult>\
         <ArticleUrlResult><Count>2</Count></ArticleUrlResult>",
    );
    let MessageEvent::MassSendJobFinish { total_count, copyright, article_urls, .. } = mass else {
        panic!("a mass message");
    };
    assert_eq!(total_count, some("5"));
    assert_eq!(copyright.expect("a result").child_text("Count"), Some("1"));
    assert_eq!(article_urls.expect("a result").child_text("Count"), Some("2"));

    let published = event(
        "PUBLISHJOBFINISH",
        "<PublishEventInfo><publish_id>1</publish_id><publish_status>0</publish_status>\
         <article_id>a</article_id><article_detail><count>1</count><item><idx>1</idx>\
         <article_url>u</article_url></item></article_detail><fail_idx>1</fail_idx>\
         <fail_idx>2</fail_idx></PublishEventInfo>",
    );
    let expected = MessageEvent::PublishJobFinish {
        publish_id: some("1"),
        publish_status: some("0"),
        article_id: some("a"),
        articles: vec![PublishedArticle { idx: some("1"), article_url: some("u") }],
        failed: vec!["1".to_owned(), "2".to_owned()],
    };
    assert!(published == expected);
}

#[test]
fn subscriptions_are_lists_in_xml_and_in_json() {
    let template = |id: &str| SubscribedTemplate {
        template_id: some(id),
        subscribe_status: some("accept"),
        popup_scene: some("2"),
        msg_id: None,
        error_code: None,
        error_status: None,
    };
    let list = |id: &str| {
        format!(
            "<List><TemplateId>{id}</TemplateId><SubscribeStatusString>accept\
             </SubscribeStatusString><PopupScene>2</PopupScene></List>"
        )
    };
    let both = [template("a"), template("b")].to_vec();
    let body =
        format!("<SubscribeMsgPopupEvent>{}{}</SubscribeMsgPopupEvent>", list("a"), list("b"));
    assert!(
        event("subscribe_msg_popup_event", &body) == MessageEvent::SubscribeMsgPopup(both.clone())
    );
    let body = body.replace("Popup", "Change").replace("ChangeScene", "PopupScene");
    assert!(event("subscribe_msg_change_event", &body) == MessageEvent::SubscribeMsgChange(both));
    let body = "<SubscribeMsgSentEvent><List><TemplateId>a</TemplateId><MsgID>1</MsgID>\
                <ErrorCode>0</ErrorCode><ErrorStatus>success</ErrorStatus></List>\
                </SubscribeMsgSentEvent>";
    let MessageEvent::SubscribeMsgSent(sent) = event("subscribe_msg_sent_event", body) else {
        panic!("a notice");
    };
    assert_eq!(
        (sent.len(), sent[0].msg_id.as_deref(), sent[0].error_code.as_deref()),
        (1, Some("1"), Some("0"))
    );

    let written = json!({
        "ToUserName": "gh_1", "FromUserName": "oFan", "CreateTime": 1_700_000_000,
        "MsgType": "event", "Event": "subscribe_msg_popup_event",
        "List": [
            { "TemplateId": "a", "SubscribeStatusString": "accept", "PopupScene": 2 },
            { "TemplateId": "b", "SubscribeStatusString": "accept", "PopupScene": "2" },
        ],
    });
    let push = MessagePush::parse(written.to_string().as_bytes()).expect("a push");
    let expected = MessageEvent::SubscribeMsgPopup([template("a"), template("b")].to_vec());
    assert!(push.content == MessageContent::Event(expected));
}

/// Each event is read as expected, and is no fan's.
fn check_own_events<const N: usize>(rows: [(&str, &str, MessageEvent); N]) {
    for (name, rest, expected) in rows {
        let push = event_push(name, rest);
        assert!(push.content == MessageContent::Event(expected), "{name}");
        assert_eq!(push.openid(), None, "{name}");
        assert_eq!(push.heard(), Heard::OtherEvent, "{name}");
    }
}

#[test]
fn verifications_of_the_account_are_read_and_are_no_fans() {
    let verified = || MessageEvent::Verified { expired_time: some("9") };
    let failed =
        || MessageEvent::VerificationFailed { fail_time: some("8"), fail_reason: some("r") };
    let (expired, fails) =
        ("<ExpiredTime>9</ExpiredTime>", "<FailTime>8</FailTime><FailReason>r</FailReason>");
    let trial = "<ApplyAuthorizationInfoNoitfy><appid>wx1</appid><mp_appid>wx2</mp_appid>\
                 <operation_time>1</operation_time><status>2</status><msg>m</msg>\
                 <ticket>t</ticket></ApplyAuthorizationInfoNoitfy>";
    let application = || TrialApplication {
        appid: some("wx1"),
        mp_appid: some("wx2"),
        operation_time: some("1"),
        status: some("2"),
        msg: some("m"),
        ticket: some("t"),
    };
    check_own_events([
        ("qualification_verify_success", expired, verified()),
        ("naming_verify_success", expired, verified()),
        ("annual_renew", expired, verified()),
        ("verify_expired", expired, verified()),
        ("qualification_verify_fail", fails, failed()),
        ("naming_verify_fail", fails, failed()),
        ("wx_verify_pay_succ", "", MessageEvent::WxVerifyPaySucc),
        ("wx_verify_dispatch", "", MessageEvent::WxVerifyDispatch),
        (
            "betaapp_authorization_apply_event",
            trial,
            MessageEvent::BetaAuthorizationApply(application()),
        ),
        ("betaapp_verify_apply_event", trial, MessageEvent::BetaVerifyApply(application())),
        ("betaapp_verify_event", trial, MessageEvent::BetaVerify(application())),
    ]);
}

#[test]
fn audits_of_a_mini_program_are_read_and_are_no_fans() {
    check_own_events([
        (
            "weapp_audit_success",
            "<SuccTime>1</SuccTime>",
            MessageEvent::WeappAuditSuccess { succ_time: some("1") },
        ),
        (
            "weapp_audit_fail",
            "<FailTime>1</FailTime><Reason><![CDATA[1:x<br>]]></Reason><ScreenShot>a|b</ScreenShot>",
            MessageEvent::WeappAuditFail {
                fail_time: some("1"),
                reason: some("1:x<br>"),
                screenshots: vec!["a".to_owned(), "b".to_owned()],
            },
        ),
        (
            "weapp_audit_delay",
            "<DelayTime>1</DelayTime><Reason>r</Reason>",
            MessageEvent::WeappAuditDelay { delay_time: some("1"), reason: some("r") },
        ),
        (
            "wxa_nickname_audit",
            "<ret>2</ret><nickname>n</nickname><reason>r</reason>",
            MessageEvent::WxaNicknameAudit {
                ret: some("2"),
                nickname: some("n"),
                reason: some("r"),
            },
        ),
        (
            "wxa_category_audit",
            "<ret>3</ret><first>1</first><second>2</second><reason>r</reason>",
            MessageEvent::WxaCategoryAudit {
                ret: some("3"),
                first: some("1"),
                second: some("2"),
                reason: some("r"),
            },
        ),
        (
            "wxa_privacy_apply",
            "<result_info><api_name>a</api_name><apply_time>1</apply_time><audit_id>2</audit_id>\
             <audit_time>3</audit_time><reason>r</reason><status>4</status></result_info>",
            MessageEvent::WxaPrivacyApply {
                api_name: some("a"),
                apply_time: some("1"),
                audit_id: some("2"),
                audit_time: some("3"),
                reason: some("r"),
                status: some("4"),
            },
        ),
        ("wxa_illegal_record", "", MessageEvent::WxaIllegalRecord),
        ("wxa_appeal_record", "", MessageEvent::WxaAppealRecord),
    ]);
}

#[test]
fn a_content_check_is_read_in_both_of_its_forms() {
    let verdict = |strategy: Option<String>| CheckVerdict {
        strategy,
        errcode: None,
        suggest: some("risky"),
        label: some("20001"),
        prob: None,
    };
    let body = "<appid>wx1</appid><trace_id>t</trace_id><version>2</version>\
                <detail><strategy>a</strategy><suggest>risky</suggest><label>20001</label></detail>";
    let result = "<result><suggest>risky</suggest><label>20001</label></result>";
    let MessageEvent::WxaMediaCheck { result: whole, detail, trace_id, .. } =
        event("wxa_media_check", &format!("{body}{result}"))
    else {
        panic!("a check");
    };
    assert_eq!((whole, detail), (Some(verdict(None)), vec![verdict(some("a"))]));
    assert_eq!(trace_id, some("t"));
    let old = "<isrisky>1</isrisky><status_code>0</status_code>";
    let MessageEvent::WxaMediaCheck { isrisky, status_code, detail, .. } =
        event("wxa_media_check", old)
    else {
        panic!("a check");
    };
    assert_eq!((isrisky, status_code, detail.len()), (some("1"), some("0"), 0));
}

#[test]
fn consent_is_about_the_fan_in_openid() {
    let rest = "<OpenID>oOther</OpenID><AppID>wx1</AppID><RevokeInfo>1,2</RevokeInfo>";
    let consent = || RevokedConsent {
        openid: some("oOther"),
        appid: some("wx1"),
        revoke_info: vec!["1".to_owned(), "2".to_owned()],
    };
    for (name, expected) in [
        ("user_info_modified", MessageEvent::UserInfoModified(consent())),
        ("user_authorization_revoke", MessageEvent::UserAuthorizationRevoke(consent())),
    ] {
        let push = event_push(name, rest);
        assert!(push.content == MessageContent::Event(expected), "{name}");
        assert_eq!(push.openid(), Some("oOther"), "{name}");
    }
    assert_eq!(event_push("user_info_modified", "").openid(), None);
}

#[test]
fn every_event_of_cards_and_stores_has_its_name() {
    for (name, expected) in StoreEvent::ALL {
        assert!(event(name, "") == MessageEvent::OfStore(expected), "{name}");
    }
    for name in ["ShakearoundUserShake", "WifiConnected"] {
        assert!(matches!(event(name, ""), MessageEvent::OfStore(_)), "{name}");
    }
}

#[test]
fn events_of_other_areas_are_known_by_area() {
    for (names, expected) in [
        (
            &[
                "trade_manage_remind_access_api",
                "trade_manage_remind_shipping",
                "trade_manage_order_settlement",
            ][..],
            EventArea::Shipping,
        ),
        (&["add_express_path", "ewaybill_push_path"], EventArea::Logistics),
        (&["update_waybill_status", "transport_add_order"], EventArea::InstantDelivery),
        (
            &["xpay_goods_deliver_notify", "xpay_coin_pay_notify", "xpay_refund_notify"],
            EventArea::VirtualPayment,
        ),
        (&["complaint_callback"], EventArea::Complaint),
        (&["secvod_upload_event", "secvod_audit_event"], EventArea::Video),
        (&["secbook_audit_event"], EventArea::Book),
        (&["wxa_comment_bad_score"], EventArea::Comment),
        (&["minigame_coin_deliver_completed"], EventArea::MiniGame),
        (&["open_product_spu_audit", "aftersale_new_order"], EventArea::TradeComponent),
        (&["channels_ec_order_new", "product_spu_audit"], EventArea::Shop),
        (&["add_waybill", "get_quota", "check_biz"], EventArea::Carrier),
    ] {
        for name in names {
            let push = event_push(name, "");
            let area = MessageEvent::OfArea(expected);
            assert!(push.content == MessageContent::Event(area), "{name}");
            let wants_answer = matches!(expected, EventArea::VirtualPayment | EventArea::Carrier);
            assert_eq!(push.expects_acknowledgement(), wants_answer, "{name}");
        }
    }
}

#[test]
fn an_unknown_event_is_a_fans_and_goes_on_whole() {
    let push = event_push("SomethingNew", "<Deep><Field>1</Field></Deep>");
    assert!(push.content == MessageContent::Event(MessageEvent::Other));
    assert_eq!(push.message_type(), MessageType::Event("SomethingNew"));
    assert_eq!((push.openid(), push.heard()), (Some("oFan"), Heard::OtherEvent));
    let nameless = self::push("<MsgType>event</MsgType>");
    assert_eq!(nameless.message_type(), MessageType::Event(""));
}

#[test]
fn the_fan_may_stand_in_a_field_of_the_events_own() {
    let payload = r#"{"OpenId":"oPayer","OutTradeNo":"1"}"#;
    for (name, rest) in [
        ("xpay_goods_deliver_notify", "<OpenId>oPayer</OpenId><OutTradeNo>1</OutTradeNo>"),
        ("trade_manage_order_settlement", "<openid> oPayer </openid>"),
        ("complaint_callback", "<Info><Order><OpenID>oPayer</OpenID></Order></Info>"),
        ("SomethingNew", "<openid></openid><Deep><openid>oPayer</openid></Deep>"),
        (
            "xpay_goods_deliver_notify",
            &format!("<MiniGame><Payload>{payload}</Payload></MiniGame>"),
        ),
    ] {
        let push = event_push(name, rest);
        assert_eq!(push.openid(), Some("oPayer"), "{name}: {rest}");
        let json = to_json(
            xml(&format!("<MsgType>event</MsgType><Event>{name}</Event>{rest}")).as_bytes(),
        );
        let same = MessagePush::parse(json.expect("a message").to_string().as_bytes());
        assert_eq!(same.expect("a push").openid(), Some("oPayer"), "{name} as JSON");
    }
    for (name, rest) in [
        ("user_get_card", "<StaffOpenId>oClerk</StaffOpenId>"),
        ("user_get_card", "<OpenId>no openid</OpenId>"),
        ("subscribe", "<OpenId>oOther</OpenId>"),
        ("xpay_goods_deliver_notify", "<MiniGame><Payload>{broken</Payload></MiniGame>"),
    ] {
        assert_eq!(event_push(name, rest).openid(), Some("oFan"), "{name}: {rest}");
    }
    let said = message("text", "<Content>a</Content><OpenId>oOther</OpenId>");
    assert_eq!(said.openid(), Some("oFan"));
    let shown = format!("{:?}", event_push("xpay_goods_deliver_notify", "<OpenId>canary</OpenId>"));
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn an_answer_is_waited_for_where_somebody_reads_it() {
    for name in [
        "subscribe",
        "SCAN",
        "CLICK",
        "scancode_waitmsg",
        "pic_weixin",
        "location_select",
        "user_enter_tempsession",
        "user_enter_session_from_card",
        "xpay_goods_deliver_notify",
        "check_biz",
    ] {
        assert!(event_push(name, "").awaits_reply(), "{name}");
    }
    for name in ["LOCATION", "VIEW", "unsubscribe", "TEMPLATESENDJOBFINISH", "user_get_card", "x"] {
        assert!(!event_push(name, "").awaits_reply(), "{name}");
    }
    for msg_type in ["text", "image", "hologram"] {
        assert!(message(msg_type, "").awaits_reply(), "{msg_type}");
    }
}

#[test]
fn a_name_that_is_no_openid_is_no_fans() {
    let whole = xml("<MsgType>text</MsgType>");
    for name in ["x".repeat(65), "a b".to_owned(), "å".to_owned()] {
        let push = MessagePush::parse(whole.replace("oFan", &name).as_bytes()).expect("a push");
        assert_eq!(push.openid(), None, "{name}");
    }
    let json = json!({ "ToUserName": "a", "FromUserName": "o\u{0}", "MsgType": "text" });
    let push = MessagePush::parse(json.to_string().as_bytes()).expect("a push");
    assert_eq!(push.openid(), None);
}

#[test]
fn what_an_account_hears_is_told_apart() {
    let said = message("text", "<Content> a </Content>");
    assert_eq!((said.heard(), said.text()), (Heard::Text(" a "), Some(" a ")));
    assert_eq!(message("image", "").heard(), Heard::OtherMessage);
    assert_eq!(message("hologram", "").heard(), Heard::OtherMessage);
    assert_eq!(event_push("subscribe", "").heard(), Heard::Subscribe);
    assert_eq!(event_push("CLICK", "<EventKey>V1</EventKey>").heard(), Heard::MenuClick("V1"));
    assert_eq!(event_push("VIEW", "<EventKey>V1</EventKey>").heard(), Heard::OtherEvent);
}

#[test]
fn json_has_the_same_head_as_xml() {
    let written = r#" {"ToUserName":"gh_1","FromUserName":"oFan","CreateTime":1700000000,
        "MsgType":"text","Content":"你好\ud800","MsgId":18446744073709551615}"#;
    let push = MessagePush::parse(written.as_bytes()).expect("a push");
    assert_eq!((push.to_user_name.as_str(), push.openid()), ("gh_1", Some("oFan")));
    assert_eq!(push.create_time, Some(1_700_000_000));
    assert_eq!(push.msg_id.as_deref(), Some("18446744073709551615"));
    assert_eq!(push.text(), Some("你好\u{fffd}"));
    assert_eq!(push.dedupe_parts().expect("recognised"), ["18446744073709551615"]);
    let same = xml("<MsgType>text</MsgType><Content>a</Content><MsgId>7</MsgId>");
    let json = to_json(same.as_bytes()).expect("a message").to_string();
    assert_eq!(MessagePush::parse(json.as_bytes()), MessagePush::parse(same.as_bytes()));
}

#[test]
fn json_is_bounded() {
    let head = r#""ToUserName":"a","FromUserName":"b","MsgType":"text""#;
    let deep =
        |levels: usize| format!("{{{head},\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(MessagePush::parse(deep(31).as_bytes()).is_ok());
    assert_eq!(MessagePush::parse(deep(32).as_bytes()), Err(PushError::Json));
    assert_eq!(to_json(deep(32).as_bytes()), Err(PushError::Json));
    let many = |values: usize| format!("{{{head},\"x\":[{}]}}", vec!["1"; values].join(","));
    assert!(MessagePush::parse(many(4000).as_bytes()).is_ok());
    assert_eq!(MessagePush::parse(many(4100).as_bytes()), Err(PushError::Json));
    let huge = format!("{{{head},\"x\":\"{}\"}}", "x".repeat(256 * 1024));
    assert!(matches!(MessagePush::parse(huge.as_bytes()), Err(PushError::Xml(_))));
    for broken in [
        format!("{{{head},\"MsgType\":\"event\"}}"),
        format!("{{{head}}} x"),
        format!("{{{head}"),
        "{}x".to_owned(),
    ] {
        assert_eq!(MessagePush::parse(broken.as_bytes()), Err(PushError::Json), "{broken}");
    }
    assert_eq!(MessagePush::parse(b"{}"), Err(PushError::Missing("MsgType")));
    assert!(MessagePush::parse(b"[]").is_err());
}

#[test]
fn as_json_every_field_is_kept() {
    let whole =
        xml("<MsgType>event</MsgType><Event>pic_weixin</Event><New a=\"1\"/><SendPicsInfo>\
         <Count>2</Count><PicList><item><PicMd5Sum>a</PicMd5Sum></item><item><PicMd5Sum>b\
         </PicMd5Sum></item></PicList><One><item>c</item></One></SendPicsInfo>\
         <Mixed>text<b>1</b></Mixed>");
    let expected = json!({
        "ToUserName": "gh_1", "FromUserName": "oFan", "CreateTime": "1700000000",
        "MsgType": "event", "Event": "pic_weixin", "New": "",
        "SendPicsInfo": {
            "Count": "2",
            "PicList": { "item": [{ "PicMd5Sum": "a" }, { "PicMd5Sum": "b" }] },
            "One": { "item": "c" },
        },
        "Mixed": { "#text": "text", "b": "1" },
    });
    assert_eq!(to_json(whole.as_bytes()), Ok(expected));
    let json = json!({ "a": [1, null, { "b": 18446744073709551615_u64 }], "c": true });
    assert_eq!(to_json(json.to_string().as_bytes()), Ok(json));
    assert!(to_json(b"<xml>").is_err());
    assert_eq!(to_json(b"{"), Err(PushError::Json));
}

#[test]
fn debug_shows_no_content() {
    for push in [
        message("text", "<Content>canary</Content>"),
        message("location", "<Label>canary</Label>"),
        event_push("LOCATION", "<Latitude>canary</Latitude>"),
        event_push("scancode_push", "<ScanCodeInfo><ScanResult>canary</ScanResult></ScanCodeInfo>"),
        event_push("user_info_modified", "<OpenID>canary</OpenID>"),
    ] {
        let shown = format!("{push:?} {:?}", push.content);
        assert!(!shown.contains("canary") && !shown.contains("oFan"), "{shown}");
    }
}
