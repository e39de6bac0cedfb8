//! How events are read.

use super::{
    CheckVerdict, EventArea, MessageEvent, Place, PublishedArticle, RevokedConsent, ScanCode,
    SentPictures, StoreEvent, SubscribedTemplate, TrialApplication,
};
use crate::{push::field::Fields, xml::Node};

/// Stands before the scene value when a fan follows the account by a QR code.
///
/// Source: WeChat docs, "Receive event pushes" (接收事件推送), scanning a QR code with a parameter.
const SCENE_PREFIX: &str = "qrscene_";

impl MessageEvent {
    pub(in crate::push::message) fn read(fields: Fields<'_, '_>) -> Self {
        let event = fields.text("Event").unwrap_or_default().to_ascii_lowercase();
        Self::of_fan(&event, fields)
            .or_else(|| Self::of_menu(&event, fields))
            .or_else(|| Self::of_sending(&event, fields))
            .or_else(|| Self::of_account(&event, fields))
            .or_else(|| Self::of_mini_program(&event, fields))
            .or_else(|| StoreEvent::named(&event).map(Self::OfStore))
            .or_else(|| EventArea::of(&event).map(Self::OfArea))
            .unwrap_or(Self::Other)
    }

    fn of_fan(event: &str, fields: Fields<'_, '_>) -> Option<Self> {
        let kf_account = || fields.text("KfAccount");
        Some(match event {
            "subscribe" => Self::Subscribe {
                scene: fields
                    .text("EventKey")
                    .and_then(|key| key.strip_prefix(SCENE_PREFIX).map(str::to_owned)),
                ticket: fields.text("Ticket"),
            },
            "unsubscribe" => Self::Unsubscribe,
            "scan" => Self::Scan { ticket: fields.text("Ticket") },
            "location" => Self::Location(Place {
                latitude: fields.text("Latitude"),
                longitude: fields.text("Longitude"),
                scale: fields.text("Precision"),
                label: None,
                poiname: None,
            }),
            "user_info_modified" => Self::UserInfoModified(RevokedConsent::read(fields)),
            "user_authorization_revoke" => {
                Self::UserAuthorizationRevoke(RevokedConsent::read(fields))
            }
            "kf_create_session" => Self::KfCreateSession { kf_account: kf_account() },
            "kf_close_session" => Self::KfCloseSession { kf_account: kf_account() },
            "kf_switch_session" => Self::KfSwitchSession {
                from_kf_account: fields.text("FromKfAccount"),
                to_kf_account: fields.text("ToKfAccount"),
            },
            "guide_qrcode_scan_event" => {
                Self::GuideQrcodeScan { scan: owned(fields, "GuideScanEvent") }
            }
            "user_enter_tempsession" => {
                Self::UserEnterTempSession { session_from: fields.text("SessionFrom") }
            }
            _ => return None,
        })
    }

    fn of_menu(event: &str, fields: Fields<'_, '_>) -> Option<Self> {
        let menu_id = || fields.text("MenuId");
        Some(match event {
            "click" => Self::Click,
            "view" => Self::View { menu_id: menu_id() },
            "view_miniprogram" => Self::ViewMiniProgram { menu_id: menu_id() },
            "scancode_push" => Self::ScanCodePush(ScanCode::read(fields)),
            "scancode_waitmsg" => Self::ScanCodeWait(ScanCode::read(fields)),
            "pic_sysphoto" => Self::PicSysphoto(SentPictures::read(fields)),
            "pic_photo_or_album" => Self::PicPhotoOrAlbum(SentPictures::read(fields)),
            "pic_weixin" => Self::PicWeixin(SentPictures::read(fields)),
            "location_select" => {
                let place = fields.inside("SendLocationInfo").unwrap_or(fields);
                Self::LocationSelect(Place::read(place))
            }
            _ => return None,
        })
    }

    fn of_sending(event: &str, fields: Fields<'_, '_>) -> Option<Self> {
        let templates = |name| SubscribedTemplate::read_all(fields, name);
        Some(match event {
            "templatesendjobfinish" => Self::TemplateSendJobFinish {
                msg_id: fields.text("MsgID"),
                status: fields.text("Status"),
            },
            "masssendjobfinish" => Self::MassSendJobFinish {
                msg_id: fields.text("MsgID"),
                status: fields.text("Status"),
                total_count: fields.text("TotalCount"),
                filter_count: fields.text("FilterCount"),
                sent_count: fields.text("SentCount"),
                error_count: fields.text("ErrorCount"),
                copyright: owned(fields, "CopyrightCheckResult"),
                article_urls: owned(fields, "ArticleUrlResult"),
            },
            "publishjobfinish" => publication(fields),
            "subscribe_msg_popup_event" => {
                Self::SubscribeMsgPopup(templates("SubscribeMsgPopupEvent"))
            }
            "subscribe_msg_change_event" => {
                Self::SubscribeMsgChange(templates("SubscribeMsgChangeEvent"))
            }
            "subscribe_msg_sent_event" => {
                Self::SubscribeMsgSent(templates("SubscribeMsgSentEvent"))
            }
            _ => return None,
        })
    }

    fn of_account(event: &str, fields: Fields<'_, '_>) -> Option<Self> {
        Some(match event {
            "qualification_verify_success"
            | "naming_verify_success"
            | "annual_renew"
            | "verify_expired" => Self::Verified { expired_time: fields.text("ExpiredTime") },
            "qualification_verify_fail" | "naming_verify_fail" => Self::VerificationFailed {
                fail_time: fields.text("FailTime"),
                fail_reason: fields.text("FailReason"),
            },
            "wx_verify_pay_succ" => Self::WxVerifyPaySucc,
            "wx_verify_dispatch" => Self::WxVerifyDispatch,
            "betaapp_authorization_apply_event" => {
                Self::BetaAuthorizationApply(TrialApplication::read(fields))
            }
            "betaapp_verify_apply_event" => Self::BetaVerifyApply(TrialApplication::read(fields)),
            "betaapp_verify_event" => Self::BetaVerify(TrialApplication::read(fields)),
            _ => return None,
        })
    }

    fn of_mini_program(event: &str, fields: Fields<'_, '_>) -> Option<Self> {
        let reason = |name| fields.text(name);
        Some(match event {
            "weapp_audit_success" => Self::WeappAuditSuccess { succ_time: fields.text("SuccTime") },
            "weapp_audit_fail" => Self::WeappAuditFail {
                fail_time: fields.text("FailTime"),
                reason: reason("Reason"),
                screenshots: split(fields.text("ScreenShot"), '|'),
            },
            "weapp_audit_delay" => Self::WeappAuditDelay {
                delay_time: fields.text("DelayTime"),
                reason: reason("Reason"),
            },
            "wxa_nickname_audit" => Self::WxaNicknameAudit {
                ret: fields.text("ret"),
                nickname: fields.text("nickname"),
                reason: reason("reason"),
            },
            "wxa_category_audit" => Self::WxaCategoryAudit {
                ret: fields.text("ret"),
                first: fields.text("first"),
                second: fields.text("second"),
                reason: reason("reason"),
            },
            "wxa_privacy_apply" => privacy_application(fields),
            "wxa_illegal_record" => Self::WxaIllegalRecord,
            "wxa_appeal_record" => Self::WxaAppealRecord,
            "wxa_media_check" => media_check(fields),
            _ => return None,
        })
    }
}

fn publication(fields: Fields<'_, '_>) -> MessageEvent {
    let info = fields.inside("PublishEventInfo").unwrap_or(fields);
    let articles = info.inside("article_detail").map(|detail| {
        detail.each("item", |item| PublishedArticle {
            idx: item.text("idx"),
            article_url: item.text("article_url"),
        })
    });
    MessageEvent::PublishJobFinish {
        publish_id: info.text("publish_id"),
        publish_status: info.text("publish_status"),
        article_id: info.text("article_id"),
        articles: articles.unwrap_or_default(),
        failed: info.each("fail_idx", |index| index.0.text().trim().to_owned()),
    }
}

fn privacy_application(fields: Fields<'_, '_>) -> MessageEvent {
    let result = fields.inside("result_info").unwrap_or(fields);
    MessageEvent::WxaPrivacyApply {
        api_name: result.text("api_name"),
        apply_time: result.text("apply_time"),
        audit_id: result.text("audit_id"),
        audit_time: result.text("audit_time"),
        reason: result.text("reason"),
        status: result.text("status"),
    }
}

fn media_check(fields: Fields<'_, '_>) -> MessageEvent {
    MessageEvent::WxaMediaCheck {
        appid: fields.text("appid"),
        trace_id: fields.text("trace_id"),
        version: fields.text("version"),
        result: fields.inside("result").map(CheckVerdict::read),
        detail: CheckVerdict::read_all(fields),
        isrisky: fields.text("isrisky"),
        status_code: fields.text("status_code"),
    }
}

fn owned(fields: Fields<'_, '_>, name: &str) -> Option<Node<'static>> {
    fields.0.child(name).cloned().map(Node::into_owned)
}

fn split(text: Option<String>, separator: char) -> Vec<String> {
    let text = text.unwrap_or_default();
    let parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

impl ScanCode {
    fn read(fields: Fields<'_, '_>) -> Self {
        let info = fields.inside("ScanCodeInfo").unwrap_or(fields);
        Self { scan_type: info.text("ScanType"), scan_result: info.text("ScanResult") }
    }
}

impl SentPictures {
    fn read(fields: Fields<'_, '_>) -> Self {
        let info = fields.inside("SendPicsInfo").unwrap_or(fields);
        let list = info.inside("PicList");
        let sums = list.map(|list| list.each("item", |item| item.text("PicMd5Sum")));
        Self {
            count: info.text("Count"),
            md5_sums: sums.unwrap_or_default().into_iter().flatten().collect(),
        }
    }
}

impl SubscribedTemplate {
    /// XML has the `List`s, one for each template, inside of the element `name`; JSON has them in the
    /// message itself.
    fn read_all(fields: Fields<'_, '_>, name: &str) -> Vec<Self> {
        fields.inside(name).unwrap_or(fields).each("List", Self::read)
    }

    fn read(fields: Fields<'_, '_>) -> Self {
        Self {
            template_id: fields.text("TemplateId"),
            subscribe_status: fields.text("SubscribeStatusString"),
            popup_scene: fields.text("PopupScene"),
            msg_id: fields.text("MsgID"),
            error_code: fields.text("ErrorCode"),
            error_status: fields.text("ErrorStatus"),
        }
    }
}

impl RevokedConsent {
    fn read(fields: Fields<'_, '_>) -> Self {
        Self {
            openid: fields.text("OpenID"),
            appid: fields.text("AppID"),
            revoke_info: split(fields.text("RevokeInfo"), ','),
        }
    }
}

impl CheckVerdict {
    /// Assumed: XML has a `detail` for each strategy, or one whose children are `item`s.
    fn read_all(fields: Fields<'_, '_>) -> Vec<Self> {
        let items = |detail: &Fields<'_, '_>| detail.each("item", Self::read);
        let listed: Vec<Self> = fields.inside("detail").as_ref().map(items).unwrap_or_default();
        if listed.is_empty() { fields.each("detail", Self::read) } else { listed }
    }

    fn read(fields: Fields<'_, '_>) -> Self {
        Self {
            strategy: fields.text("strategy"),
            errcode: fields.text("errcode"),
            suggest: fields.text("suggest"),
            label: fields.text("label"),
            prob: fields.text("prob"),
        }
    }
}

impl TrialApplication {
    /// The element is spelled so.
    fn read(fields: Fields<'_, '_>) -> Self {
        let info = fields.inside("ApplyAuthorizationInfoNoitfy").unwrap_or(fields);
        Self {
            appid: info.text("appid"),
            mp_appid: info.text("mp_appid"),
            operation_time: info.text("operation_time"),
            status: info.text("status"),
            msg: info.text("msg"),
            ticket: info.text("ticket"),
        }
    }
}
